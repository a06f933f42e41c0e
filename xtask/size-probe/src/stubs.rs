//! The outside world, as small as it gets: flash, a stream and a clock that do nothing.

use core::{convert::Infallible, hint::black_box};

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

/// External NOR.
pub(crate) struct Flash;

impl ErrorType for Flash {
    type Error = Infallible;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        black_box((offset, bytes));
        Ok(())
    }

    fn capacity(&self) -> usize {
        black_box(64 << 20)
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 4096;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
        black_box((from, to));
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        black_box((offset, bytes));
        Ok(())
    }
}

/// Puts the stub's functions and the executor into the empty program.
pub(crate) async fn use_flash() {
    let _ = black_box(Flash).read(0, crate::unknown()).await;
    let _ = black_box(Flash).write(0, crate::unknown()).await;
    let _ = black_box(Flash).erase(0, 0).await;
}

#[cfg(feature = "mqtt")]
pub(crate) mod net {
    use core::{hint::black_box, task::Waker};

    use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
    use ota_core::mqtt::Open;

    /// A socket.
    pub(crate) struct Stream;

    impl ErrorType for Stream {
        type Error = ErrorKind;
    }

    impl Read for Stream {
        async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
            black_box(Ok(buf.len()))
        }
    }

    impl Write for Stream {
        async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
            black_box(Ok(buf.len()))
        }

        async fn flush(&mut self) -> Result<(), ErrorKind> {
            Ok(())
        }
    }

    impl Open for Stream {
        type Error = ErrorKind;
        type Io<'s> = Stream;

        async fn open(&mut self) -> Result<Stream, ErrorKind> {
            black_box(Ok(Stream))
        }
    }

    /// A clock that stands still.
    struct Clock;

    impl embassy_time_driver::Driver for Clock {
        fn now(&self) -> u64 {
            black_box(0)
        }

        fn schedule_wake(&self, at: u64, waker: &Waker) {
            black_box((at, waker));
        }
    }

    embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock);
}
