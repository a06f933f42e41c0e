//! `ota bundle`: the images of an update in one TAR file, as the Cypress library packs them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use ota_core::image::Header as ImageHeader;
use ota_core::wire::tar::{Header, LIST_NAME, MAX_LIST_SIZE, NSPE, SPE, encode_components, padded};

/// GNU tar fills its archives up to a multiple of this: the same here, so that the bytes are the same.
const MULTIPLE: usize = 20 * 512;

/// Pack signed images into one file for devices that take several, such as PSoC 64.
///
/// The result is what `ota sign job` signs and a job delivers. Its first member, `components.json`, says which image is
/// which. Exit code: 0 packed, 1 refused or failed, 2 wrong arguments.
#[derive(Debug, Args)]
pub(crate) struct Bundle {
    /// The application, a signed MCUboot image: image 0, on PSoC 64 for the CM4
    #[arg(long, value_name = "FILE")]
    nspe: PathBuf,
    /// The secure side, a signed MCUboot image: image 1, on PSoC 64 for the CM0+
    #[arg(long, value_name = "FILE")]
    spe: Option<PathBuf>,
    /// Version of the bundle, 15 characters at most [default: that of the application]
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Where to write the bundle
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

struct Member {
    name: String,
    kind: &'static str,
    content: Vec<u8>,
}

impl Bundle {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (application, header) = member(&self.nspe, NSPE)?;
        let mut members = vec![application];
        if let Some(path) = &self.spe {
            let (secure, _) = member(path, SPE)?;
            ensure!(secure.name != members[0].name, "both images are called {}: rename one", secure.name);
            members.push(secure);
        }
        let version = self.version.unwrap_or_else(|| {
            let version = header.version;
            format!("{}.{}.{}", version.major, version.minor, version.revision)
        });
        let file = pack(&version, &members)?;
        std::fs::write(&self.output, &file)
            .with_context(|| format!("cannot write {}", self.output.display()))?;
        println!("{}: version {version}, {} bytes", self.output.display(), file.len());
        for member in &members {
            println!("  {:4}  {} bytes  {}", member.kind, member.content.len(), member.name);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn member(path: &Path, kind: &'static str) -> Result<(Member, ImageHeader)> {
    let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let header = ImageHeader::parse(&content)
        .map_err(|error| anyhow!("{} is no MCUboot image: {error}", path.display()))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    ensure!(name != LIST_NAME, "an image cannot be called {LIST_NAME}");
    Ok((Member { name, kind, content }, header))
}

fn pack(version: &str, members: &[Member]) -> Result<Vec<u8>> {
    let entries = members
        .iter()
        .map(|member| Ok((member.name.as_str(), member.kind, u32::try_from(member.content.len())?)))
        .collect::<Result<Vec<_>>>()?;
    let mut list = [0; MAX_LIST_SIZE as usize];
    // The encoder's own error speaks of messages to AWS.
    let len = encode_components(&mut list, version, &entries).ok().context(
        "version (15 characters at most) or a file name (99 at most) does not go into components.json",
    )?;
    let mut file = Vec::new();
    put(&mut file, LIST_NAME, &list[..len])?;
    for member in members {
        put(&mut file, &member.name, &member.content)?;
    }
    // Two records of zeros close an archive.
    file.resize((file.len() + 1024).next_multiple_of(MULTIPLE), 0);
    Ok(file)
}

fn put(file: &mut Vec<u8>, name: &str, content: &[u8]) -> Result<()> {
    let size = u32::try_from(content.len()).with_context(|| format!("{name} is too large"))?;
    file.extend_from_slice(&Header { name, size }.encode()?);
    file.extend_from_slice(content);
    let end = u32::try_from(file.len()).ok().and_then(padded).context("the bundle is too large")?;
    file.resize(end as usize, 0);
    Ok(())
}
