//! One process of QEMU: the device from power on to power off.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::Sender,
    thread,
};

use anyhow::Context;
use qemu_board::Plan;

use crate::qemu::QEMU;

/// What happens in one of the two processes.
#[derive(Debug)]
pub(crate) enum Event {
    /// A line on the device's console; the number is that of the process.
    Device(u32, String),
    /// The device's console is closed.
    DeviceEnd(u32),
    /// A line of the cloud.
    Cloud(String),
    /// The cloud has ended.
    CloudEnd,
}

/// Sends every whole line of `from`, then says that it is closed. A line that was cut off is dropped.
pub(crate) fn read_lines(
    from: impl Read + Send + 'static,
    to: Sender<Event>,
    line: impl Fn(String) -> Event + Send + 'static,
    end: Event,
) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut bytes = Vec::new();
        while from.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) && bytes.pop() == Some(b'\n') {
            if to.send(line(String::from_utf8_lossy(&bytes).into_owned())).is_err() {
                return;
            }
            bytes.clear();
        }
        // Nobody listens any more: nothing is lost.
        let _ = to.send(end);
    });
}

/// Shows what QEMU has to say, all but that a frame found no room in the controller, which is for TCP to make good.
fn pass_on(errors: impl Read) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        if !line.contains("Slirp: Failed to send packet") {
            eprintln!("{line}");
        }
    }
}

/// A running device. Dropping it cuts the power.
pub(crate) struct Device {
    process: Child,
}

impl Device {
    /// Power on.
    pub(crate) fn start(
        bootloader: &Path,
        flash: &Path,
        seed: u64,
        plan: Option<Plan<'_>>,
        count: bool,
        (life, events): (u32, Sender<Event>),
    ) -> anyhow::Result<Self> {
        let mut semihosting = format!("enable=on,target=native,arg=device,arg=seed={seed}");
        if let Some(plan) = plan {
            semihosting += &format!(",arg=cut={plan}");
        }
        let mut command = Command::new(QEMU);
        command
            .args(["-machine", "mps2-an386,memory-backend=flash", "-cpu", "cortex-m4"])
            .arg("-object")
            .arg(format!("memory-backend-file,id=flash,size=16M,share=on,mem-path={}", flash.display()))
            .args(["-nic", "user,model=lan9118", "-display", "none", "-monitor", "none", "-serial", "stdio"])
            .args(["-semihosting-config", &semihosting])
            .arg("-kernel")
            .arg(bootloader);
        if count {
            command.args(["-icount", "shift=0"]);
        }
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {QEMU}"))?;
        if let Some(errors) = process.stderr.take() {
            thread::spawn(move || pass_on(errors));
        }
        let console = process.stdout.take().context("no console")?;
        read_lines(console, events, move |line| Event::Device(life, line), Event::DeviceEnd(life));
        Ok(Self { process })
    }

    /// Cuts the power, as `kill -9`.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// How a process ended that has closed its console.
    pub(crate) fn wait(mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.process.wait()?)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
