//! Bundles: members lie inside the file, one behind the other.

use ota_core::wire::tar::{self, Components, Head, Header, RECORD_SIZE, TarError};
use ota_sim::image::BundleBuilder;

use crate::bytes::{Bytes, assert_inside};
use crate::json;

pub(crate) fn run(file: &[u8]) {
    check_header(file);
    if let Ok(components) = Components::parse(file) {
        check_list(file, &components);
    }
    // A list alone says nothing of a file: give it a head.
    check_file(file);
    if file.len() <= tar::MAX_LIST_SIZE as usize {
        check_file(&packed(file));
    }
    check_written(file);
}

/// `list` as the list of a bundle, its members behind it as it names them.
fn packed(list: &[u8]) -> Vec<u8> {
    let mut file = record(tar::LIST_NAME, list.len() as u32).to_vec();
    file.extend_from_slice(list);
    file.resize(file.len().next_multiple_of(RECORD_SIZE as usize), 0);
    let members: Vec<_> = Components::parse(list).map(|list| list.members().collect()).unwrap_or_default();
    for member in members {
        let name = json::unescaped(member.name);
        if let Ok(header) = (Header { name: &name, size: member.size.unwrap_or_default() }).encode() {
            file.extend_from_slice(&header);
        }
    }
    file
}

fn record(name: &str, size: u32) -> [u8; RECORD_SIZE as usize] {
    Header { name, size }.encode().expect("a good name")
}

fn check_header(file: &[u8]) {
    let Ok(header) = Header::parse(file) else { return };
    assert!(tar::is_tar(file));
    assert_inside(&file[..100], header.name.as_bytes());
    assert_eq!(Header::parse(&header.encode().expect("it was read")), Ok(header));
}

fn check_list(text: &[u8], components: &Components<'_>) {
    let members: Vec<_> = components.members().collect();
    assert!(members.len() < tar::MAX_FILES);
    for (at, member) in members.iter().enumerate() {
        assert_inside(text, member.name.raw().as_bytes());
        let name = json::unescaped(member.name);
        let size = member.size.expect("members have a size");
        assert!((1..=tar::MAX_NAME_SIZE).contains(&name.len()) && !member.is_list());
        assert!(members[..at].iter().all(|other| !other.name.is(&name)), "{name} twice");
        assert_eq!(components.entry(&Header { name: &name, size }), Ok(*member));
        let other = Header { name: &name, size: size ^ 1 };
        assert_eq!(components.entry(&other), Err(TarError::Mismatch));
    }
    if let Some(tree) = json::check(text) {
        assert_eq!(tree["files"].as_array().map(|files| files.len()), Some(members.len() + 1));
        assert_eq!(tree["numberOfComponents"].as_str().and_then(|n| n.parse().ok()), Some(members.len() + 1));
    }
}

fn check_file(file: &[u8]) {
    let Ok(head) = Head::parse(file) else { return };
    let list = Header::parse(file).expect("the list's header was read");
    assert_eq!(list.name, tar::LIST_NAME);
    check_list(&file[RECORD_SIZE as usize..][..list.size as usize], &head.components);
    // The list ends before the first member's header, and that before its payload.
    let header_at = RECORD_SIZE + tar::padded(list.size).expect("it fits");
    assert_eq!(head.payload_at, header_at + RECORD_SIZE);
    assert!(head.payload_at as usize <= file.len() && head.payload_at <= 4 * RECORD_SIZE);
    assert_eq!(Header::parse(&file[header_at as usize..]), Ok(head.first));
    head.components.entry(&head.first).expect("the first member is in the list");
    // Nothing behind the payload's start is looked at, and nothing less is enough.
    assert_eq!(Head::parse(&file[..head.payload_at as usize]), Ok(head));
    assert_eq!(Head::parse(&file[..head.payload_at as usize - 1]), Err(TarError::Truncated));
}

/// Whatever list is written is read as the same.
fn check_written(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let (count, size, version) = (1 + bytes.below(3), bytes.u32(), bytes.u8());
    let names: Vec<_> = (0..count).map(|at| format!("m{at}-{}", bytes.u8())).collect();
    let members: Vec<_> = names.iter().map(|name| (&**name, tar::NSPE, size)).collect();
    let mut text = [0; tar::MAX_LIST_SIZE as usize];
    let len = tar::encode_components(&mut text, &format!("1.{version}.0"), &members).expect("it fits");
    let components = Components::parse(&text[..len]).expect("it was written");
    check_list(&text[..len], &components);
    for (member, name) in components.members().zip(&names) {
        assert!(member.name.is(name) && member.kind.is(tar::NSPE) && member.size == Some(size));
    }
    let file = packed(&text[..len]);
    assert_eq!(Head::parse(&file).map(|head| head.first), Ok(Header { name: &names[0], size }));
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let bundle = BundleBuilder::new("1.2.3").member("app.bin", tar::NSPE, &[1; 700]).member(
        "s.bin",
        tar::SPE,
        &[2; 9],
    );
    let mut list = [0; tar::MAX_LIST_SIZE as usize];
    let members = [("app.bin", tar::NSPE, 700), ("s.bin", tar::SPE, 9)];
    let len = tar::encode_components(&mut list, "1.2.3", &members).expect("it fits");
    vec![bundle.build(), bundle.posix().build(), list[..len].to_vec()]
}
