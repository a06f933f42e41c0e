//! The power supply of a device: on, off, or about to fail at a chosen flash operation.

use core::cell::Cell;

/// Who works on the flash; each has its own counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Actor {
    /// The firmware under test.
    #[default]
    Application,
    /// The MCUboot model.
    Bootloader,
}

/// What a torn operation leaves behind, as a reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// The range reads erased. On [`Kind::Nor`](super::Kind::Nor) its units count as programmed all the same.
    ReadsErased,
    /// The range reads as if the operation had finished.
    ReadsComplete,
    /// Whole units up to a place drawn from the seed, one unit of random bytes, nothing after it. An erase leaves its
    /// whole sector random.
    Garbage(u64),
    /// The first half of the bytes is done. The rest: blank after a write, old bytes after an erase.
    Half,
}

/// When, relative to its operation, the power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The operation does not begin.
    Before,
    /// The operation is torn.
    Inside(Tear),
    /// The operation is whole, but its caller never learns of it.
    After,
}

/// A planned power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which write or sector erase since [`Supply::arm`]; the first is 0.
    pub operation: u32,
    /// When the power fails.
    pub when: When,
}

/// The power of one device. Flashes that share it (`&Supply`, `Rc<Supply>`) fail together and count their
/// operations together, so nothing can be written to one flash after the power failed in another.
#[derive(Debug, Default)]
pub struct Supply {
    plan: Cell<Option<(Cut, Option<Actor>)>>,
    operations: Cell<u32>,
    lost: Cell<bool>,
}

/// What becomes of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Whole,
    Never,
    Torn(Tear),
    LastOne,
}

impl Supply {
    /// Power on, no failure planned.
    pub const fn new() -> Self {
        Self { plan: Cell::new(None), operations: Cell::new(0), lost: Cell::new(false) }
    }

    /// Plans a failure, counting operations of the application and the bootloader from now on.
    pub fn arm(&self, cut: Cut) {
        self.plan.set(Some((cut, None)));
        self.operations.set(0);
    }

    /// Plans a failure, counting the operations of one actor only.
    pub fn arm_for(&self, actor: Actor, cut: Cut) {
        self.plan.set(Some((cut, Some(actor))));
        self.operations.set(0);
    }

    /// Switches the power on again and forgets a plan that was carried out; a plan still ahead stays.
    pub fn power_on(&self) {
        if self.lost.replace(false) {
            self.plan.set(None);
        }
    }

    /// Switches the power off now.
    pub fn power_off(&self) {
        self.lost.set(true);
    }

    /// Whether the power is off.
    pub fn is_lost(&self) -> bool {
        self.lost.get()
    }

    /// Whether a planned failure still lies ahead.
    pub fn is_armed(&self) -> bool {
        self.plan.get().is_some() && !self.lost.get()
    }

    /// Operations counted since the last `arm`, or since the start.
    pub fn operations(&self) -> u32 {
        self.operations.get()
    }

    pub(super) fn begin(&self, actor: Actor) -> Fate {
        if self.lost.get() {
            return Fate::Never;
        }
        let plan = self.plan.get();
        if let Some((_, Some(only))) = plan
            && only != actor
        {
            return Fate::Whole;
        }
        let number = self.operations.get();
        self.operations.set(number.saturating_add(1));
        match plan {
            Some((cut, _)) if cut.operation == number => {
                self.lost.set(true);
                match cut.when {
                    When::Before => Fate::Never,
                    When::Inside(tear) => Fate::Torn(tear),
                    When::After => Fate::LastOne,
                }
            }
            Some(_) | None => Fate::Whole,
        }
    }
}
