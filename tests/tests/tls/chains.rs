//! Certificates, good and bad.

use ota_core::tls::{CertificateError, Config, TlsError};
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, PKCS_RSA_SHA384, PKCS_RSA_SHA512, SanType, date_time_ymd,
};

use crate::certificates::{Authority, Identity, key, leaf, named, p256, rsa};
use crate::servers::judged;
use crate::support::{BUILT_AT_S, NAME, NOW_S, config};

fn refused(error: CertificateError) -> Result<(), TlsError> {
    Err(TlsError::Certificate(error))
}

fn names(params: &mut CertificateParams, names: &[&str]) {
    params.subject_alt_names =
        names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
}

#[tokio::test]
async fn good_chains() {
    let root = Authority::root("root");
    let roots = [Authority::root("another").anchor(), root.anchor()];
    let config = config(&roots);
    assert_eq!(judged(&root.server(), &config).await, Ok(()));

    let one = root.intermediate("one", |_| {});
    assert_eq!(judged(&one.server().with(one.der()), &config).await, Ok(()));
    assert_eq!(judged(&one.server(), &config).await, refused(CertificateError::UnknownIssuer));

    let two = one.intermediate("two", |_| {});
    assert_eq!(judged(&two.server().with(two.der()).with(one.der()), &config).await, Ok(()), "deep");
    assert_eq!(judged(&two.server().with(one.der()).with(two.der()), &config).await, Ok(()), "any order");
    let appended = two.server().with(two.der()).with(one.der()).with(root.der());
    assert_eq!(judged(&appended, &config).await, Ok(()), "root appended");
}

/// As Amazon's roots are cross-signed by Starfield: the device trusts the one, the other, or both.
#[tokio::test]
async fn cross_signed() {
    let key = p256();
    // The same name and key twice: self-signed, and vouched for by `old`.
    let same_key = KeyPair::from_pem(&key.serialize_pem()).unwrap();
    let (new, old, stranger) =
        (Authority::root_with("new", key), Authority::root("old"), Authority::root("stranger"));
    let crossed = old.intermediate_with("new", same_key, |_| {});
    let issuing = new.intermediate("issuing", |_| {});
    let server = issuing.server().with(issuing.der()).with(crossed.der()).with(old.der());
    for (roots, expected) in [
        (vec![new.anchor()], Ok(())),
        (vec![old.anchor()], Ok(())),
        (vec![old.anchor(), new.anchor()], Ok(())),
        (vec![stranger.anchor()], refused(CertificateError::UnknownIssuer)),
    ] {
        assert_eq!(judged(&server, &config(&roots)).await, expected);
    }
}

#[tokio::test]
async fn names_of_servers() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let config = config(&roots);
    let seven = ["a.example", "b.example", "c.example", "d.example", "e.example", "f.example", NAME];
    for (offered, expected) in [
        (&seven[..], Ok(())),
        (&seven[..6], refused(CertificateError::Name)),
        (&["*.iot.example.com"][..], Ok(())),
        (&["*.example.com"], refused(CertificateError::Name)),
        (&["*.data.iot.example.com"], refused(CertificateError::Name)),
        (&["iot.example.com"], refused(CertificateError::Name)),
        (&["data.iot.example.com.evil.example"], refused(CertificateError::Name)),
        (&["DATA.IOT.Example.com"], Ok(())),
        // The common name, which is still ours, does not count.
        (&[], refused(CertificateError::Name)),
    ] {
        let server = root.issue(p256(), |params| names(params, offered));
        assert_eq!(judged(&server, &config).await, expected, "{offered:?}");
    }
    let addressed = root.issue(p256(), |params| {
        params.subject_alt_names = vec![SanType::IpAddress([192, 0, 2, 7].into())];
    });
    assert_eq!(judged(&addressed, &Config { server_name: "192.0.2.7", ..config }).await, Ok(()));
    let other = Config { server_name: "192.0.2.8", ..config };
    assert_eq!(judged(&addressed, &other).await, refused(CertificateError::Name));
}

#[tokio::test]
async fn dates() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let good = config(&roots);
    // The day is 2027-01-15, the firmware is of 2026-07-19.
    let server = |from, to| root.issue(p256(), |params| (params.not_before, params.not_after) = (from, to));
    let current = server(date_time_ymd(2026, 12, 1), date_time_ymd(2027, 2, 1));
    let expired = server(date_time_ymd(2026, 8, 1), date_time_ymd(2027, 1, 15));
    let future = server(date_time_ymd(2027, 1, 16), date_time_ymd(2028, 1, 1));
    assert_eq!(judged(&current, &good).await, Ok(()));
    assert_eq!(judged(&expired, &good).await, refused(CertificateError::Expired));
    assert_eq!(judged(&future, &good).await, refused(CertificateError::NotYetValid));

    // Without a clock, only what had expired when the firmware was built can be told.
    let clockless = Config { time: &(), ..good };
    assert_eq!(judged(&current, &clockless).await, Ok(()));
    assert_eq!(judged(&expired, &clockless).await, Ok(()));
    assert_eq!(judged(&future, &clockless).await, Ok(()));
    let old = server(date_time_ymd(2026, 1, 1), date_time_ymd(2026, 7, 18));
    assert_eq!(judged(&old, &clockless).await, refused(CertificateError::Expired));
    // A clock that was reset counts no further back than the build.
    assert_eq!(judged(&old, &Config { time: &1, ..good }).await, refused(CertificateError::Expired));
    assert_eq!(judged(&current, &Config { time: &1, ..good }).await, refused(CertificateError::NotYetValid));
    let built_later = Config { built_at_s: NOW_S, ..clockless };
    assert_eq!(judged(&expired, &built_later).await, refused(CertificateError::Expired));
    assert_eq!(judged(&expired, &Config { built_at_s: BUILT_AT_S, ..clockless }).await, Ok(()));
}

/// Without a clock there must be one moment at which the whole chain is valid.
#[tokio::test]
async fn a_chain_is_valid_at_one_moment() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let clockless = Config { time: &(), ..config(&roots) };
    let mut chains = Vec::new();
    for (from, to) in [
        (date_time_ymd(2026, 1, 1), date_time_ymd(2027, 6, 1)),
        (date_time_ymd(2028, 1, 1), date_time_ymd(2030, 1, 1)),
        (date_time_ymd(2026, 1, 1), date_time_ymd(2027, 1, 31)),
        (date_time_ymd(2027, 6, 2), date_time_ymd(2030, 1, 1)),
    ] {
        let one = root.intermediate("one", |params| (params.not_before, params.not_after) = (from, to));
        let server = one.issue(p256(), |params| {
            (params.not_before, params.not_after) = (date_time_ymd(2027, 2, 1), date_time_ymd(2027, 6, 1));
        });
        chains.push(judged(&server.with(one.der()), &clockless).await);
    }
    let apart = refused(CertificateError::Expired);
    assert_eq!(chains, [Ok(()), apart, apart, apart]);
}

#[tokio::test]
async fn nobody_vouches() {
    let roots = [Authority::root("root").anchor()];
    let config = config(&roots);
    // webpki does not even take it for a server's: it names itself as its issuer.
    assert_eq!(judged(&Identity::self_signed(), &config).await, refused(CertificateError::UnknownIssuer));
    // Same name as the trusted root, another key.
    let impostor = Authority::root("root");
    assert_eq!(judged(&impostor.server(), &config).await, refused(CertificateError::Signature));
    assert_eq!(
        judged(&impostor.server().with(impostor.der()), &config).await,
        refused(CertificateError::Signature)
    );
}

#[tokio::test]
async fn who_may_issue() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let config = config(&roots);

    // An ordinary server's certificate used to issue one for our name.
    let ordinary = root.issue(p256(), |params| {
        named(params, "ordinary.example");
        names(params, &["ordinary.example"]);
        params.key_usages.clear();
        params.extended_key_usages.clear();
    });
    let (issuer, certificate) = ordinary.into_impostor("ordinary.example");
    let key = p256();
    let forged = leaf(ExtendedKeyUsagePurpose::ServerAuth).signed_by(&key, &issuer).unwrap();
    let forged = Identity { chain: vec![forged.der().clone(), certificate], key };
    assert_eq!(judged(&forged, &config).await, refused(CertificateError::Usage));

    // An intermediate that may issue for servers, but not through another one.
    let narrow = root.intermediate("narrow", |params| {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    });
    assert_eq!(judged(&narrow.server().with(narrow.der()), &config).await, Ok(()));
    let below = narrow.intermediate("below", |_| {});
    let server = below.server().with(below.der()).with(narrow.der());
    assert_eq!(judged(&server, &config).await, refused(CertificateError::Usage));

    // Meant for clients; an authority's own certificate.
    let client = root.issue(p256(), |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert_eq!(judged(&client, &config).await, refused(CertificateError::Usage));
    let authority = root.issue(p256(), |params| {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    assert_eq!(judged(&authority, &config).await, refused(CertificateError::Usage));
}

#[tokio::test]
async fn kinds_of_keys() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let config = config(&roots);
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let server = root.issue(key(algorithm), |_| {});
        assert_eq!(judged(&server, &config).await, refused(CertificateError::Algorithm), "{algorithm:?}");
        let one = root.intermediate_with("one", key(algorithm), |_| {});
        let server = one.server().with(one.der());
        assert_eq!(judged(&server, &config).await, refused(CertificateError::Algorithm), "{algorithm:?}");
    }
}

#[tokio::test]
async fn rsa_chains() {
    for algorithm in [&PKCS_RSA_SHA256, &PKCS_RSA_SHA384, &PKCS_RSA_SHA512] {
        let root = Authority::root_with("root", rsa(algorithm));
        let roots = [root.anchor()];
        let config = config(&roots);
        // As AWS IoT presents itself to clients without ECDSA, and as it does to others.
        assert_eq!(judged(&root.issue(rsa(algorithm), |_| {}), &config).await, Ok(()), "{algorithm:?}");
        assert_eq!(judged(&root.server(), &config).await, Ok(()), "{algorithm:?}");
        let one = root.intermediate("one", |_| {});
        assert_eq!(judged(&one.issue(rsa(algorithm), |_| {}).with(one.der()), &config).await, Ok(()));
        let wrong = root.issue(rsa(algorithm), |params| names(params, &["other.example"]));
        assert_eq!(judged(&wrong, &config).await, refused(CertificateError::Name));
    }
}

#[tokio::test]
async fn how_many() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let config = config(&roots);
    let with = |count| (0..count).fold(root.server(), |server, _| server.with(root.der()));
    assert_eq!(judged(&with(8), &config).await, Ok(()));
    assert_eq!(judged(&with(9), &config).await, refused(CertificateError::Count));
    // embedded-tls itself holds sixteen.
    assert_eq!(judged(&with(15), &config).await, refused(CertificateError::Count));
    assert_eq!(judged(&with(16), &config).await, Err(TlsError::Protocol));
}

/// Certificates made so that many paths have to be tried. The work is bounded.
#[tokio::test]
async fn a_maze() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let authority = Authority::root("maze");
    let mut server = authority.server();
    for _ in 0..8 {
        server = server.with(Authority::root("root").intermediate("maze", |_| {}).der());
    }
    let outcome = judged(&server, &config(&roots)).await;
    assert_eq!(outcome, refused(CertificateError::Signature));
}
