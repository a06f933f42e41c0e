//! The IP stack, as the decisions see it.

/// How far the network is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Not joined.
    NoLink,
    /// Joined, and no answer from DHCP yet.
    NoAddress,
    /// TCP and UDP work as far as the next router.
    Address,
}

/// What the stack says about itself.
pub trait Network {
    /// How far it is there now.
    fn reach(&self) -> Reach;

    /// Waits until it is another than `from`, for ever if need be. Dropping the future loses nothing.
    #[allow(async_fn_in_trait)] // One executor, one thread.
    async fn changed(&self, from: Reach);
}

/// Waits for an address.
pub(crate) async fn reached(net: &impl Network) {
    while net.reach() != Reach::Address {
        net.changed(net.reach()).await;
    }
}
