//! The application's own words to the agent, from any task or interrupt.

use core::future::poll_fn;
use core::sync::atomic::{AtomicU8, Ordering};
use core::task::Poll;

use atomic_waker::AtomicWaker;

/// One word of the application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Command {
    /// Stop for good: the driver returns. What flash and journal hold stays.
    ShutDown = 0,
    /// Give the job up: `FAILED`, reason `aborted`.
    Abort = 1,
    /// The self test failed.
    SelfTestFailed = 2,
    /// The self test passed: confirm the image.
    SelfTestPassed = 3,
    /// Use no network until [`Command::Resume`].
    Suspend = 4,
    /// Go on after [`Command::Suspend`].
    Resume = 5,
    /// Ask for a job now.
    CheckNow = 6,
}

impl Command {
    /// Every command, the most urgent first.
    pub const ALL: [Command; 7] = [
        Command::ShutDown,
        Command::Abort,
        Command::SelfTestFailed,
        Command::SelfTestPassed,
        Command::Suspend,
        Command::Resume,
        Command::CheckNow,
    ];

    const fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// Carries [`Command`]s from the application to the driver. Put it in a `static` or beside the driver; every method
/// takes `&self`.
///
/// A word stays said until the agent has heard it; saying it twice before that is saying it once.
#[derive(Debug, Default)]
pub struct Commands {
    said: AtomicU8,
    waker: AtomicWaker,
}

impl Commands {
    /// Nothing said yet.
    pub const fn new() -> Self {
        Self { said: AtomicU8::new(0), waker: AtomicWaker::new() }
    }

    /// Says `command`. May be called from an interrupt.
    pub fn say(&self, command: Command) {
        // Of two opposite words the later one counts.
        let opposite = match command {
            Command::Suspend => Command::Resume.bit(),
            Command::Resume => Command::Suspend.bit(),
            Command::SelfTestPassed => Command::SelfTestFailed.bit(),
            Command::SelfTestFailed => Command::SelfTestPassed.bit(),
            Command::ShutDown | Command::Abort | Command::CheckNow => 0,
        };
        self.said.fetch_and(!opposite, Ordering::Relaxed);
        self.said.fetch_or(command.bit(), Ordering::Release);
        self.waker.wake();
    }

    /// Takes the most urgent word said, if any.
    pub fn take(&self) -> Option<Command> {
        let said = self.said.load(Ordering::Acquire);
        let command = Command::ALL.into_iter().find(|c| said & c.bit() != 0)?;
        self.said.fetch_and(!command.bit(), Ordering::AcqRel);
        Some(command)
    }

    /// Waits for a word and takes it. Dropping the future loses no word.
    pub async fn next(&self) -> Command {
        poll_fn(|cx| {
            self.waker.register(cx.waker());
            match self.take() {
                Some(command) => Poll::Ready(command),
                None => Poll::Pending,
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_heard_once_most_urgent_first_and_the_later_opposite_wins() {
        let commands = Commands::new();
        assert_eq!(commands.take(), None);
        commands.say(Command::CheckNow);
        commands.say(Command::CheckNow);
        commands.say(Command::Suspend);
        commands.say(Command::Resume);
        assert_eq!(commands.take(), Some(Command::Resume));
        assert_eq!(commands.take(), Some(Command::CheckNow));
        assert_eq!(commands.take(), None);
        for command in Command::ALL {
            commands.say(command);
        }
        assert_eq!(commands.take(), Some(Command::ShutDown));
    }
}
