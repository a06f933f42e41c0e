//! TAR bundles of several images, as the Cypress library takes them: `components.json`, then the members.

const RECORD: usize = 512;

/// A bundle to be built. Without further settings: what the list says is true, GNU magic, and zeros behind the last member up
/// to a multiple of 10 KiB, as GNU tar and Python's tarfile leave them.
#[derive(Clone, Debug)]
pub struct BundleBuilder {
    version: String,
    members: Vec<Member>,
    list: Option<String>,
    posix: bool,
    multiple: usize,
}

#[derive(Clone, Debug)]
struct Member {
    name: String,
    kind: String,
    content: Vec<u8>,
}

impl BundleBuilder {
    /// An empty bundle of this version.
    pub fn new(version: &str) -> Self {
        Self { version: version.into(), members: Vec::new(), list: None, posix: false, multiple: 20 * RECORD }
    }

    /// One more member; `kind` is its `fileType`: `NSPE` or `SPE`.
    #[must_use]
    pub fn member(mut self, name: &str, kind: &str, content: &[u8]) -> Self {
        self.members.push(Member { name: name.into(), kind: kind.into(), content: content.to_vec() });
        self
    }

    /// POSIX magic instead of GNU's.
    #[must_use]
    pub fn posix(mut self) -> Self {
        self.posix = true;
        self
    }

    /// Zeros up to a multiple of so many bytes; 512 leaves the two closing records only.
    #[must_use]
    pub fn filled_to(mut self, multiple: usize) -> Self {
        self.multiple = multiple;
        self
    }

    /// Another `components.json`, true or not.
    #[must_use]
    pub fn list(mut self, list: &str) -> Self {
        self.list = Some(list.into());
        self
    }

    /// The bytes.
    ///
    /// # Panics
    /// A name does not fit its 100 bytes.
    pub fn build(&self) -> Vec<u8> {
        let list = self.list.clone().unwrap_or_else(|| self.honest_list());
        let mut file = Vec::new();
        self.put(&mut file, "components.json", list.as_bytes());
        for member in &self.members {
            self.put(&mut file, &member.name, &member.content);
        }
        file.resize((file.len() + 2 * RECORD).next_multiple_of(self.multiple), 0);
        file
    }

    fn honest_list(&self) -> String {
        let entry = |member: &Member| {
            let Member { name, kind, content } = member;
            format!(r#",{{"fileName":"{name}","fileType":"{kind}","fileSize":"{}"}}"#, content.len())
        };
        let entries: String = self.members.iter().map(entry).collect();
        format!(
            r#"{{"numberOfComponents":"{}","version":"{}","files":[{{"fileName":"components.json","fileType":"component_list"}}{entries}]}}"#,
            self.members.len() + 1,
            self.version
        )
    }

    fn put(&self, file: &mut Vec<u8>, name: &str, content: &[u8]) {
        let mut header = [0u8; RECORD];
        assert!(name.len() < 100, "a name of {} bytes", name.len());
        let size = format!("{:011o}\0", content.len());
        let magic: &[u8] = if self.posix { b"ustar\x0000" } else { b"ustar  \0" };
        let fields: [(usize, &[u8]); 9] = [
            (0, name.as_bytes()),
            (100, b"0000644\0"),
            (108, b"0000000\0"),
            (116, b"0000000\0"),
            (124, size.as_bytes()),
            (136, b"00000000000\0"),
            (148, b"        "),
            (156, b"0"),
            (257, magic),
        ];
        for (at, bytes) in fields {
            header[at..at + bytes.len()].copy_from_slice(bytes);
        }
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        file.extend_from_slice(&header);
        file.extend_from_slice(content);
        file.resize(file.len().next_multiple_of(RECORD), 0);
    }
}
