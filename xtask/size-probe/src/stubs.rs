//! The outside world, as small as it gets: flash, a stream and a clock that do nothing.

use core::{convert::Infallible, hint::black_box};

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use ota_core::transport::{Connector, Control, Failure, FailureKind, Qos, Received, Timer};

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

/// A clock that stands still.
pub(crate) struct Clock;

impl Timer for Clock {
    fn now_ms(&mut self) -> u64 {
        black_box(0)
    }

    async fn until(&mut self, at_ms: u64) {
        black_box(at_ms);
    }
}

/// A control plane that takes everything and brings a message.
pub(crate) struct Plane;

/// It never fails.
#[derive(Debug)]
pub(crate) struct Never;

impl Failure for Never {
    fn kind(&self) -> FailureKind {
        black_box(FailureKind::Lost)
    }
}

impl Connector for Plane {
    type Error = Never;
    type Link<'c> = Plane;

    async fn connect(&mut self) -> Result<Plane, Never> {
        black_box(Ok(Plane))
    }
}

impl Control for Plane {
    type Error = Never;

    async fn subscribe(&mut self, filters: &[(&str, Qos)]) -> Result<(), Never> {
        black_box(filters);
        black_box(Ok(()))
    }

    async fn publish(&mut self, topic: &str, payload: &[u8], qos: Qos) -> Result<(), Never> {
        black_box((topic, payload, qos));
        black_box(Ok(()))
    }

    async fn receive(&mut self) -> Result<Received<'_>, Never> {
        black_box(Ok(Received { topic: crate::unknown_str(), payload: crate::unknown() }))
    }
}

unsafe extern "C" {
    fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
    fn memcmp(one: *const u8, other: *const u8, len: usize) -> i32;
    fn __aeabi_memcpy(to: *mut u8, from: *const u8, len: usize);
    fn __aeabi_memcpy4(to: *mut u8, from: *const u8, len: usize);
    fn __aeabi_memcpy8(to: *mut u8, from: *const u8, len: usize);
    fn __aeabi_memset(to: *mut u8, len: usize, byte: i32);
    fn __aeabi_memset8(to: *mut u8, len: usize, byte: i32);
    fn __aeabi_memclr(to: *mut u8, len: usize);
    fn __aeabi_memclr4(to: *mut u8, len: usize);
    fn __aeabi_memclr8(to: *mut u8, len: usize);
}

/// Puts the compiler's own functions for memory into the empty program: every firmware has them, whatever else it does.
pub(crate) fn use_memory() {
    black_box((memcpy as *const (), memcmp as *const ()));
    black_box((__aeabi_memcpy as *const (), __aeabi_memcpy4 as *const (), __aeabi_memcpy8 as *const ()));
    black_box((__aeabi_memset as *const (), __aeabi_memset8 as *const ()));
    black_box((__aeabi_memclr as *const (), __aeabi_memclr4 as *const (), __aeabi_memclr8 as *const ()));
}

/// Puts the stub's functions and the executor into the empty program.
pub(crate) async fn use_flash() {
    let _ = black_box(Flash).read(0, crate::unknown()).await;
    let _ = black_box(Flash).write(0, crate::unknown()).await;
    let _ = black_box(Flash).erase(0, 0).await;
}

#[cfg(any(feature = "mqtt", feature = "http", feature = "tls", feature = "network"))]
pub(crate) mod net {
    use core::hint::black_box;
    #[cfg(any(feature = "mqtt", feature = "http", feature = "network"))]
    use core::task::Waker;

    use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
    #[cfg(feature = "mqtt")]
    use ota_core::open::{Endpoint, Open};

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

    #[cfg(feature = "mqtt")]
    impl Open for Stream {
        type Error = ErrorKind;
        type Io<'s> = Stream;

        async fn open(&mut self, _: Endpoint<'_>) -> Result<Stream, ErrorKind> {
            black_box(Ok(Stream))
        }
    }

    /// A clock that stands still.
    #[cfg(any(feature = "mqtt", feature = "http", feature = "network"))]
    struct Clock;

    #[cfg(any(feature = "mqtt", feature = "http", feature = "network"))]
    impl embassy_time_driver::Driver for Clock {
        fn now(&self) -> u64 {
            black_box(0)
        }

        fn schedule_wake(&self, at: u64, waker: &Waker) {
            black_box((at, waker));
        }
    }

    #[cfg(any(feature = "mqtt", feature = "http", feature = "network"))]
    embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock);
}
