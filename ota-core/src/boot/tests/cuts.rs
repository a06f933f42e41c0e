//! The power fails at every operation of a request, and in every way.

use std::format;

use ota_sim::flash::{Cut, Tear, When};

use super::*;

const WAYS: [When; 6] = [
    When::Before,
    When::After,
    When::Inside(Tear::ReadsErased),
    When::Inside(Tear::ReadsComplete),
    When::Inside(Tear::Garbage(11)),
    When::Inside(Tear::Half),
];

/// What the trailer holds before the request: values by place from the slot's end.
#[derive(Clone, Copy, Debug)]
enum Before {
    Clean,
    StaleImageOk,
    TornMagic,
    Pending(Pending),
}

fn asked(pending: Pending) -> Request {
    match pending {
        Pending::Test => Request::Test,
        Pending::Permanent => Request::Permanent,
    }
}

impl<const PW: usize, const PE: usize, const SW: usize, const SE: usize> Device<PW, PE, SW, SE> {
    /// Cuts at every operation of `request(pending)`. Whatever is left, the image is whole, nothing stronger than what was
    /// asked is asked, and asking again ends in exactly that.
    fn sweep(make: impl Fn() -> Self, before: Before, pending: Pending) {
        let image = image_of(0x1234);
        for when in WAYS {
            for operation in 0.. {
                let (mut device, done) = make().run(async |device| download(device, &image).await);
                done.unwrap();
                let (fields, size) = layouts(&device.layout);
                match before {
                    Before::Clean => {}
                    Before::StaleImageOk => device.poke_secondary(size - fields.image_ok(), &[1]),
                    Before::TornMagic => device.poke_secondary(16, &[0x77, 0xC2]),
                    Before::Pending(old) => {
                        device = device.run(async |image| image.request(0x1234, old).await.unwrap()).0;
                    }
                }
                let what =
                    format!("{:?} {before:?} -> {pending:?} cut {operation} {when:?}", device.layout.mode());
                device.supply.arm(Cut { operation, when });
                let Device { supply, layout, primary, secondary } = device;
                let mut booted = Image::<_, _>::new(primary, secondary, layout).unwrap();
                let first = block_on(booted.request(0x1234, pending));
                let (primary, secondary) = booted.release();
                let cut = supply.is_lost();
                assert!(cut || first.is_ok(), "{what}: {first:?}");
                let device = Device { supply, layout, primary, secondary };

                let (device, state) = device.run(async |image| image.inspect(0).await.unwrap());
                let allowed = match before {
                    Before::Pending(old) => state.request == asked(old),
                    Before::Clean | Before::StaleImageOk | Before::TornMagic => false,
                };
                let harmless = matches!(state.request, Request::None | Request::Damaged);
                assert!(allowed || harmless || state.request == asked(pending), "{what}: {state:?}");
                let (device, again) = device.run(async |image| image.request(0x1234, pending).await);
                assert_eq!(again, Ok(()), "{what}");
                let (device, state) = device.run(async |image| image.inspect(0).await.unwrap());
                assert_eq!(state.request, asked(pending), "{what}");
                let (device, held) = device.run(async |booted| booted.compare(0, 0, &image).await);
                assert_eq!(held, Ok(Compared::Equal), "{what}");
                assert_eq!(device.violations(), 0, "{what}");
                if !cut {
                    assert!(
                        operation > 0 || matches!(before, Before::Pending(old) if old == pending),
                        "{what}"
                    );
                    break;
                }
            }
        }
    }

    fn sweep_all(make: impl Fn() -> Self) {
        let befores = [
            Before::Clean,
            Before::StaleImageOk,
            Before::TornMagic,
            Before::Pending(Pending::Test),
            Before::Pending(Pending::Permanent),
        ];
        for before in befores {
            for pending in [Pending::Test, Pending::Permanent] {
                Self::sweep(&make, before, pending);
            }
        }
    }
}

const TRAILER_MODES: [BootMode; 4] =
    [BootMode::Overwrite, BootMode::SwapScratch, BootMode::SwapMove, BootMode::SwapOffset];
const ROWS: Place = Place { erased: 0, kind: Kind::RowRewrite, ..NOR };

#[test]
fn fine_nor_in_every_mode() {
    for mode in TRAILER_MODES.into_iter().chain([BootMode::SwapStatus]) {
        for kind in [Kind::Nor, Kind::NorReprogram] {
            let place = Place { kind, ..NOR };
            Device::<1, 4096, 1, 4096>::sweep_all(|| Device::new(mode, MaxAlign::M8, place, place));
            let place = Place { erased: 0, ..place };
            Device::<8, 2048, 8, 2048>::sweep_all(|| Device::new(mode, MaxAlign::M8, place, place));
        }
    }
}

#[test]
fn wide_alignments() {
    for mode in TRAILER_MODES {
        Device::<16, 4096, 16, 4096>::sweep_all(|| Device::new(mode, MaxAlign::M16, NOR, NOR));
        Device::<32, 4096, 32, 4096>::sweep_all(|| Device::new(mode, MaxAlign::M32, NOR, NOR));
        Device::<8, 4096, 4, 4096>::sweep_all(|| Device::new(mode, MaxAlign::M32, NOR, NOR));
    }
}

/// Fields that share a write-once unit.
#[test]
fn units_wider_than_fields() {
    for mode in TRAILER_MODES {
        Device::<8, 4096, 16, 4096>::sweep_all(|| Device::new(mode, MaxAlign::M8, NOR, NOR));
        Device::<8, 4096, 512, 4096>::sweep_all(|| Device::new(mode, MaxAlign::M8, NOR, NOR));
    }
}

#[test]
fn rows() {
    for mode in TRAILER_MODES.into_iter().chain([BootMode::SwapStatus]) {
        Device::<512, 512, 512, 512>::sweep_all(|| Device::new(mode, MaxAlign::M8, ROWS, ROWS));
        let place = Place { erased: 0xFF, ..ROWS };
        Device::<16, 512, 16, 512>::sweep_all(|| Device::new(mode, MaxAlign::M8, place, place));
    }
}

/// Rows inside, pages outside, and the slot ends a page past a sector: the Infineon kits' layout in small.
#[test]
fn mixed_pair_with_an_unaligned_secondary() {
    let outside = Place { start: 0x400, ..NOR };
    for mode in [BootMode::SwapStatus, BootMode::Overwrite] {
        Device::<512, 512, 512, 4096>::sweep_all(|| Device::new(mode, MaxAlign::M8, ROWS, outside));
    }
}

/// The trailer's sector holds image bytes too: a torn request costs that sector, and nothing else.
#[test]
fn shared_sector_is_given_up() {
    let make = || Device::<512, 512, 512, 4096>::new(BootMode::Overwrite, MaxAlign::M8, ROWS, NOR);
    let size = make().layout.max_image_size();
    assert_eq!(size, 0x7E00);
    let image = image_of(size);
    for when in WAYS {
        let (device, done) = make().run(async |device| download(device, &image).await);
        done.unwrap();
        device.supply.arm(Cut { operation: 0, when });
        let Device { supply, layout, primary, secondary } = device;
        let mut booted = Image::<_, _>::new(primary, secondary, layout).unwrap();
        assert_eq!(
            block_on(booted.request(size, Pending::Test)),
            Err(FlashError::Trailer),
            "not known to be blank"
        );
        assert_eq!(supply.operations(), 0);
        // Given up and written again, in one life: now the units are known to be blank.
        supply.arm(Cut { operation: 2, when });
        let repaired = block_on(async {
            let from = 0x7000;
            booted.erase(0, 7).await?;
            booted.write(0, from, &image[from as usize..]).await?;
            booted.request(size, Pending::Test).await
        });
        assert!(repaired.is_err() && supply.is_lost(), "{when:?}");
        let (primary, secondary) = booted.release();
        let device = Device { supply, layout, primary, secondary };
        let (device, (state, held)) =
            device.run(async |booted| (booted.inspect(0).await.unwrap(), booted.compare(0, 0, &image).await));
        assert!(
            matches!(state.request, Request::None | Request::Damaged | Request::Test),
            "{when:?} {state:?}"
        );
        assert_eq!((held, device.violations()), (Ok(Compared::Equal), 0), "{when:?}");
    }
}

/// The power fails in a confirm: afterwards the image is confirmed, or goes back at the next reset, or asks for a repair.
#[test]
fn confirm_of_rows_and_of_fine_nor() {
    fn sweep<const W: usize, const E: usize>(place: Place) {
        for when in WAYS {
            let mut device = Device::<W, E, W, E>::new(BootMode::SwapMove, MaxAlign::M8, place, place);
            device.poke_primary(16, MaxAlign::M8.magic());
            device.poke_primary(32, &[1]);
            let (device, state) = device.run(async |image| image.inspect(0).await.unwrap());
            assert_eq!((state.revert, state.confirmed), (Revert::Yes, false));
            device.supply.arm(Cut { operation: 0, when });
            let Device { supply, layout, primary, secondary } = device;
            let mut booted = Image::<_, _>::new(primary, secondary, layout).unwrap();
            assert!(block_on(booted.confirm(0)).is_err());
            let (primary, secondary) = booted.release();
            let device = Device { supply, layout, primary, secondary };
            let (_, state) = device.run(async |image| image.inspect(0).await.unwrap());
            match when {
                When::Before => assert_eq!(state.revert, Revert::Yes),
                When::After | When::Inside(Tear::ReadsComplete) => assert!(state.confirmed),
                // A row that lost its magic neither reverts nor is confirmed.
                When::Inside(Tear::ReadsErased | Tear::Garbage(_) | Tear::Half) => {}
            }
            assert!(!(state.revert == Revert::Yes && state.confirmed), "{when:?} {state:?}");
        }
    }
    sweep::<512, 512>(ROWS);
    sweep::<8, 4096>(NOR);
}

/// A swap-status request also takes the old confirm out of the primary; both must be there in the end.
#[test]
fn stale_confirm_is_taken_whatever_fails() {
    for when in WAYS {
        for operation in 0..2 {
            let mut device =
                Device::<512, 512, 512, 512>::new(BootMode::SwapStatus, MaxAlign::M8, ROWS, ROWS);
            device.poke_primary(24, &[1]);
            device.supply.arm(Cut { operation, when });
            let Device { supply, layout, primary, secondary } = device;
            let mut booted = Image::<_, _>::new(primary, secondary, layout).unwrap();
            assert!(block_on(booted.request(0x1234, Pending::Test)).is_err());
            let (primary, secondary) = booted.release();
            let device = Device { supply, layout, primary, secondary };
            let (device, state) = device.run(async |image| image.inspect(0).await.unwrap());
            // The running image loses its confirm only behind a request, which outranks a revert.
            assert!(state.confirmed || state.request == Request::Test, "{operation} {when:?} {state:?}");
            let (_, state) = device.run(async |image| {
                image.request(0x1234, Pending::Test).await.unwrap();
                image.inspect(0).await.unwrap()
            });
            assert_eq!((state.request, state.confirmed), (Request::Test, false), "{operation} {when:?}");
        }
    }
}
