//! Several images of one device: a tuple, whose element `n` is image `n`.

use super::{ImageState, Images, Withdrawn};
use crate::{
    geometry::ImageLayout,
    slot::{Compared, FlashError},
    trailer::Pending,
    verify::Verified,
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

            async fn inspect(&mut self, image: u8) -> Result<ImageState, FlashError> {
                match image {
                    $($index => self.$index.inspect(0).await,)+
                    _ => Err(FlashError::NoImage),
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

            async fn set_pending(&mut self, token: Verified, pending: Pending) -> Result<(), FlashError> {
                match token.image() {
                    // Inside its element the image has number 0.
                    $($index => self.$index.set_pending(token.renumbered(0), pending).await,)+
                    _ => Err(FlashError::NoImage),
                }
            }

            async fn withdraw(&mut self, image: u8) -> Result<Withdrawn, FlashError> {
                match image {
                    $($index => self.$index.withdraw(0).await,)+
                    _ => Err(FlashError::NoImage),
                }
            }

            async fn confirm(&mut self, image: u8) -> Result<(), FlashError> {
                match image {
                    $($index => self.$index.confirm(0).await,)+
                    _ => Err(FlashError::NoImage),
                }
            }
        }
    };
}

impl_images!(A: 0);
impl_images!(A: 0, B: 1);
impl_images!(A: 0, B: 1, C: 2);
