//! Bundles, byte for byte: what GNU tar 1.34 and Python 3's `tarfile` make of three files is read, and written again.
//!
//! ```sh
//! printf '{"numberOfComponents":"3",...}' > components.json    # LIST below
//! printf 'NSPE!' > cm4.bin
//! python3 -c "open('cm0p.bin','wb').write(bytes(i % 251 for i in range(513)))"
//! own="--owner=0 --group=0 --numeric-owner --mode=0644 --mtime=@0"
//! tar --format=gnu -b 1 $own -cf gnu.tar components.json cm4.bin cm0p.bin
//! tar --format=ustar -b 1 $own -cf ustar.tar components.json cm4.bin cm0p.bin
//! python3 -c "
//! import tarfile, io
//! for form, to in (tarfile.GNU_FORMAT, 'pygnu.tar'), (tarfile.USTAR_FORMAT, 'pyustar.tar'):
//!     with tarfile.open(to, 'w', format=form) as tar:
//!         for name in 'components.json', 'cm4.bin', 'cm0p.bin':
//!             info, data = tarfile.TarInfo(name), open(name, 'rb').read()
//!             info.size = len(data)
//!             tar.addfile(info, io.BytesIO(data))"
//! sha256sum *.tar
//! ```
#![cfg(feature = "bundle")]

use ota_core::wire::tar::*;
use sha2::{Digest, Sha256};

const LIST: &str = r#"{"numberOfComponents":"3","version":"1.2.3","files":[{"fileName":"components.json","fileType":"component_list"},{"fileName":"cm4.bin","fileType":"NSPE","fileSize":"5"},{"fileName":"cm0p.bin","fileType":"SPE","fileSize":"513"}]}"#;

/// What stands in a header besides name, size and checksum, and how long the file is.
struct Writer {
    checksums: [&'static [u8; 6]; 3],
    magic: &'static [u8; 8],
    device: bool,
    size: usize,
    sha256: &'static str,
}

const GNU_TAR: Writer = Writer {
    checksums: [b"010765", b"007055", b"007226"],
    magic: b"ustar  \0",
    device: false,
    size: 4608,
    sha256: "91c06c5d2cfd01bc4cd51791208af3b844d67f421c3058056eda6cdf9dda23a0",
};
const GNU_TAR_USTAR: Writer = Writer {
    checksums: [b"012265", b"010355", b"010526"],
    magic: b"ustar\x0000",
    device: true,
    size: 4608,
    sha256: "5cf884b2790546f244031a6c95cb19ddd4930e17fa01b72bf72e3725c3290f07",
};
const PYTHON_GNU: Writer = Writer {
    size: 10240,
    sha256: "f8453c6164b1da2535b0dbc8a523e5396e50b3ebadd1f74c22a52efa953b5cd5",
    ..GNU_TAR
};
const PYTHON_USTAR: Writer = Writer {
    checksums: [b"011025", b"007115", b"007266"],
    magic: b"ustar\x0000",
    device: false,
    size: 10240,
    sha256: "9c05ea4850123b592a325529b9adc6ea74b7608e8d8f05c00d71d35c5dfc305f",
};

fn payloads() -> [Vec<u8>; 3] {
    [LIST.as_bytes().to_vec(), b"NSPE!".to_vec(), (0..513u32).map(|k| (k % 251) as u8).collect()]
}

/// The reference file, from literal bytes.
fn file(writer: &Writer) -> Vec<u8> {
    let mut file = vec![0; writer.size];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    let headers: [(usize, &[u8], &[u8]); 3] = [
        (0, b"components.json", b"00000000343"),
        (1024, b"cm4.bin", b"00000000005"),
        (2048, b"cm0p.bin", b"00000001001"),
    ];
    for (((at, name, size), checksum), payload) in headers.into_iter().zip(writer.checksums).zip(payloads()) {
        put(at, name);
        put(at + 100, b"0000644\x000000000\x000000000");
        put(at + 124, size);
        put(at + 136, b"00000000000");
        put(at + 148, checksum);
        put(at + 155, b" 0");
        put(at + 257, writer.magic);
        if writer.device {
            put(at + 329, b"0000000\x000000000");
        }
        put(at + 512, &payload);
    }
    let sha256: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sha256, writer.sha256, "the bytes here are those of the tool");
    file
}

#[test]
fn what_the_tools_write_is_read() {
    for writer in [GNU_TAR, GNU_TAR_USTAR, PYTHON_GNU, PYTHON_USTAR] {
        let file = file(&writer);
        assert!(is_tar(&file));
        let head = Head::parse(&file).unwrap();
        assert_eq!((head.first, head.payload_at), (Header { name: "cm4.bin", size: 5 }, 1536));
        assert!(head.components.version.is("1.2.3"));
        let listed: Vec<_> =
            head.components.members().map(|m| (m.name.raw(), m.kind.raw(), m.size)).collect();
        assert_eq!(listed, [("cm4.bin", NSPE, Some(5)), ("cm0p.bin", SPE, Some(513))]);
        assert_eq!(Header::parse(&file[2048..]), Ok(Header { name: "cm0p.bin", size: 513 }));
        // 1536 bytes are enough, one less is not; the last one never decides.
        assert!(Head::parse(&file[..1536]).is_ok());
        assert_eq!(Head::parse(&file[..1535]), Err(TarError::Truncated));
    }
}

#[test]
fn what_is_written_is_what_gnu_tar_writes() {
    let mut list = [0; 1024];
    let len = encode_components(&mut list, "1.2.3", &[("cm4.bin", NSPE, 5), ("cm0p.bin", SPE, 513)]).unwrap();
    assert_eq!(core::str::from_utf8(&list[..len]), Ok(LIST));
    let mut file_written = Vec::new();
    for (name, payload) in ["components.json", "cm4.bin", "cm0p.bin"].into_iter().zip(payloads()) {
        let header = Header { name, size: payload.len() as u32 };
        file_written.extend_from_slice(&header.encode().unwrap());
        file_written.extend_from_slice(&payload);
        file_written.resize(padded(file_written.len() as u32).unwrap() as usize, 0);
    }
    file_written.resize(file_written.len() + 1024, 0);
    assert_eq!(file_written, file(&GNU_TAR));
}

#[test]
fn headers_that_are_refused() {
    let good = file(&GNU_TAR)[1024..1536].to_vec();
    let changed = |change: &dyn Fn(&mut [u8])| {
        let mut record = good.clone();
        change(&mut record);
        record[148..156].fill(b' ');
        let sum: u32 = record.iter().map(|byte| u32::from(*byte)).sum();
        record[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        Header::parse(&record).map(|header| header.size)
    };
    assert_eq!(changed(&|_| {}), Ok(5));
    // Other writers: blanks instead of zeros, a blank at the end.
    assert_eq!(changed(&|r| r[124..136].copy_from_slice(b"         12 ")), Ok(10));
    assert_eq!(changed(&|r| r[124..136].copy_from_slice(b"37777777777\0")), Ok(u32::MAX));
    assert_eq!(changed(&|r| r[124..136].copy_from_slice(b"40000000000\0")), Err(TarError::Number));
    assert_eq!(changed(&|r| r[124..136].copy_from_slice(b"00000000008\0")), Err(TarError::Number));
    assert_eq!(changed(&|r| r[124..136].fill(0)), Err(TarError::Number));
    // Base 256, for files beyond 8 GiB.
    assert_eq!(changed(&|r| r[124] = 0x80), Err(TarError::Number));
    assert_eq!(changed(&|r| r[156] = 0), Ok(5));
    for kind in [b'1', b'2', b'5', b'L', b'x', b'g'] {
        assert_eq!(changed(&|r| r[156] = kind), Err(TarError::Member), "{}", char::from(kind));
    }
    assert_eq!(changed(&|r| r[..100].fill(b'a')), Err(TarError::Member));
    assert_eq!(changed(&|r| r[..100].fill(0)), Err(TarError::Member));
    assert_eq!(changed(&|r| r[0] = 0xFF), Err(TarError::Member));
    assert_eq!(changed(&|r| r[257..265].copy_from_slice(b"ustar\x0011")), Err(TarError::Magic));
    assert_eq!(changed(&|r| r[257] = b'U'), Err(TarError::Magic));
    let mut posix = file(&GNU_TAR_USTAR)[1024..1536].to_vec();
    posix[345] = b'd';
    posix[148..156].copy_from_slice(b"010521\0 ");
    assert_eq!(Header::parse(&posix), Err(TarError::Member), "a prefix is part of the name");
    for bit in 0..512 * 8 {
        let mut record = good.clone();
        record[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(Header::parse(&record), Ok(Header { name: "other", size: 5 }));
        assert!(Header::parse(&record).is_err() || (148..156).contains(&(bit / 8)), "bit {bit}");
    }
}

#[test]
fn lists_that_are_refused() {
    let list = |text: &str| Components::parse(text.as_bytes()).map(|c| c.members().count());
    let entry = r#"{"fileName":"a","fileType":"NSPE","fileSize":"1"}"#;
    let own = r#"{"fileName":"components.json","fileType":"component_list"}"#;
    let text = |count: &str, version: &str, files: &[&str]| {
        format!(
            r#"{{"numberOfComponents":{count},"version":{version},"files":[{}],"more":1}}"#,
            files.join(",")
        )
    };
    let two = |count, version| list(&text(count, version, &[own, entry]));
    assert_eq!(two("\"2\"", "\"1.0\""), Ok(1));
    assert_eq!(two("\"02\"", "\"123456789012345\""), Ok(1));
    for (count, version) in [
        ("2", "\"1\""),
        ("\"3\"", "\"1\""),
        ("\"+2\"", "\"1\""),
        ("\"\"", "\"1\""),
        ("\"2\"", "1"),
        ("\"2\"", "null"),
        ("\"2\"", "\"1234567890123456\""),
    ] {
        assert_eq!(two(count, version), Err(TarError::Json), "{count} {version}");
    }
    let b = entry.replace("\"a\"", "\"b\"");
    assert_eq!(list(&text("\"3\"", "\"1\"", &[entry, own, &b])), Ok(2));
    let files: [&[&str]; 8] = [
        &[entry, &b],
        &[own, own],
        &[own, entry, entry],
        &[own, "1"],
        &[own, r#"{"fileName":"a","fileType":"NSPE"}"#],
        &[own, r#"{"fileName":"a","fileType":"NSPE","fileSize":1}"#],
        &[own, r#"{"fileName":"a","fileType":"NSPE","fileSize":"4294967296"}"#],
        &[own, r#"{"fileName":"a","fileType":"1234567890123456","fileSize":"1"}"#],
    ];
    for files in files {
        let count = format!("\"{}\"", files.len());
        assert_eq!(list(&text(&count, "\"1\"", files)), Err(TarError::Json), "{files:?}");
    }
    let many: Vec<String> = (0..8).map(|k| entry.replace("\"a\"", &format!("\"{k}\""))).collect();
    let many = |n: usize| {
        let mut files: Vec<&str> = many.iter().take(n).map(String::as_str).collect();
        files.push(own);
        list(&text(&format!("\"{}\"", n + 1), "\"1\"", &files))
    };
    assert_eq!((many(7), many(8)), (Ok(7), Err(TarError::Json)));
}

#[test]
fn lists_that_are_not_written() {
    let encode = |version, members: &[(&str, &str, u32)]| encode_components(&mut [0; 2048], version, members);
    assert!(encode("1", &[("a", "NSPE", 1)]).is_ok());
    for (version, name, kind) in
        [("", "a", "N"), ("1234567890123456", "a", "N"), ("1", "", "N"), ("1", "a\"", "N"), ("1", "a", "N\n")]
    {
        assert!(encode(version, &[(name, kind, 1)]).is_err(), "{version:?} {name:?} {kind:?}");
    }
    let name = "x".repeat(99);
    let wide = [(name.as_str(), "123456789012345", u32::MAX); 8];
    assert!(encode("1", &wide[..5]).is_ok() && encode("1", &wide[..7]).is_err(), "1024 bytes are the limit");
    assert!(encode("1", &wide).is_err());
    assert!(encode_components(&mut [0; 20], "1", &[]).is_err());
}

/// Cuts and flips of a good head: an answer each time, and nothing that is not there.
#[test]
fn hostile_heads() {
    let good = file(&GNU_TAR)[..2048].to_vec();
    for end in 0..=good.len() {
        assert_eq!(Head::parse(&good[..end]).is_ok(), end >= 1536);
    }
    for bit in 0..1536 * 8 {
        let mut head = good.clone();
        head[bit / 8] ^= 1 << (bit % 8);
        if let Ok(head) = Head::parse(&head) {
            assert!(head.payload_at == 1536 && head.components.members().count() == 2, "bit {bit}");
            assert!(head.components.entry(&head.first).is_ok(), "bit {bit}");
        }
    }
    let mut random = 1u64;
    for _ in 0..2000 {
        let mut head = good.clone();
        for _ in 0..8 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = (random >> 32) as usize % head.len();
            head[at] = random as u8;
        }
        let _ = Head::parse(&head);
    }
}
