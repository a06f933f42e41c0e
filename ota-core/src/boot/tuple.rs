//! Several images of one device: a tuple, whose element `n` is image `n`.

use super::{Controlled, Images, Operation};
use crate::{
    geometry::ImageLayout,
    slot::{Compared, FlashError},
};

macro_rules! impl_images {
    ($($name:ident: $index:tt),+) => {
        impl<$($name: Images),+> Images for ($($name,)+) {
            fn layout(&self, image: u8) -> Option<&ImageLayout> {
                match image {
                    $($index => self.$index.layout(0),)+
                    _ => None,
                }
            }

            async fn read(&mut self, image: u8, at: u32, buf: &mut [u8]) -> Result<(), FlashError> {
                match image {
                    $($index => self.$index.read(0, at, buf).await,)+
                    _ => Err(FlashError::NoImage),
                }
            }

            async fn erase(&mut self, image: u8, sector: u32) -> Result<(), FlashError> {
                match image {
                    $($index => self.$index.erase(0, sector).await,)+
                    _ => Err(FlashError::NoImage),
                }
            }

            async fn write(&mut self, image: u8, at: u32, data: &[u8]) -> Result<(), FlashError> {
                match image {
                    $($index => self.$index.write(0, at, data).await,)+
                    _ => Err(FlashError::NoImage),
                }
            }

            async fn compare(&mut self, image: u8, at: u32, data: &[u8]) -> Result<Compared, FlashError> {
                match image {
                    $($index => self.$index.compare(0, at, data).await,)+
                    _ => Err(FlashError::NoImage),
                }
            }

            fn generation(&self, image: u8) -> u32 {
                match image {
                    $($index => self.$index.generation(0),)+
                    _ => 0,
                }
            }

            async fn control(&mut self, image: u8, operation: Operation) -> Result<Controlled, FlashError> {
                let operation = match operation {
                    Operation::SetPending(token, _) if token.image() != image => return Err(FlashError::NoImage),
                    // Inside its element the image has number 0.
                    Operation::SetPending(token, pending) => Operation::SetPending(token.renumbered(0), pending),
                    Operation::Inspect | Operation::Withdraw | Operation::Confirm => operation,
                };
                match image {
                    $($index => self.$index.control(0, operation).await,)+
                    _ => Err(FlashError::NoImage),
                }
            }
        }
    };
}

impl_images!(A: 0);
impl_images!(A: 0, B: 1);
impl_images!(A: 0, B: 1, C: 2);
