//! Amazon's and Starfield's roots, compared with Mozilla's list.

use ota_core::tls::roots;
use webpki_roots::TLS_SERVER_ROOTS;

#[test]
fn the_roots_are_mozillas() {
    let ours = [
        roots::AMAZON_ROOT_CA_1,
        roots::AMAZON_ROOT_CA_2,
        roots::AMAZON_ROOT_CA_3,
        roots::STARFIELD_SERVICES_ROOT_G2,
    ];
    for (index, root) in ours.iter().enumerate() {
        assert_eq!(TLS_SERVER_ROOTS.iter().filter(|theirs| *theirs == root).count(), 1, "root {index}");
    }
}
