extern crate std;

use std::format;
use std::string::String;

use crate::http::{Scheme, Schemes, URL_MAX, Url, UrlError};

fn parse(text: &str) -> Result<Url<'_>, UrlError> {
    Url::parse(text, Schemes::HttpsOnly)
}

#[test]
fn a_presigned_url_is_taken_apart_and_not_changed() {
    let text = "https://ota-bucket.s3.eu-central-1.amazonaws.com/dir/fw%20v2.bin?X-Amz-Algorithm=AWS4-HMAC-SHA256\
                &X-Amz-Credential=AKIA%2F20261122%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Expires=1800&X-Amz-Signature=00ff";
    let url = parse(text).unwrap();
    assert_eq!(
        (url.scheme(), url.host(), url.port()),
        (Scheme::Https, "ota-bucket.s3.eu-central-1.amazonaws.com", 443)
    );
    assert_eq!(url.target(), &text[text.find("/dir").unwrap()..]);
    assert_eq!(url.authority(), url.host());
}

#[test]
fn hosts_and_ports() {
    let parts = |text| parse(text).map(|url| (url.host(), url.port(), url.authority()));
    assert_eq!(parts("HTTPS://Host_1.example:8443/"), Ok(("Host_1.example", 8443, "Host_1.example:8443")));
    assert_eq!(parts("https://host:/"), Ok(("host", 443, "host:")));
    assert_eq!(parts("https://host:65535/"), Ok(("host", 65535, "host:65535")));
    assert_eq!(parts("https://10.0.0.1/"), Ok(("10.0.0.1", 443, "10.0.0.1")));
    assert_eq!(parts("https://[2001:db8::1]:444/x"), Ok(("2001:db8::1", 444, "[2001:db8::1]:444")));
    for (text, error) in [
        ("", UrlError::Scheme),
        ("https:", UrlError::Scheme),
        ("http://host/", UrlError::Scheme),
        ("ftp://host/", UrlError::Scheme),
        ("//host/", UrlError::Scheme),
        (" https://host/", UrlError::Scheme),
        ("httpsé//host/", UrlError::Scheme),
        ("https://", UrlError::Path),
        ("https:///", UrlError::Host),
        ("https://host", UrlError::Path),
        ("https://host?x=/", UrlError::Path),
        ("https://:443/", UrlError::Host),
        ("https://ho%73t/", UrlError::Host),
        ("https://[::1/", UrlError::Host),
        ("https://[]/", UrlError::Host),
        ("https://[host]/", UrlError::Host),
        ("https://[::1]443/", UrlError::Host),
        ("https://user@host/", UrlError::UserInfo),
        ("https://user:password@host/", UrlError::UserInfo),
        ("https://good.example@evil.example/", UrlError::UserInfo),
        ("https://host:0/", UrlError::Port),
        ("https://host:65536/", UrlError::Port),
        ("https://host:+443/", UrlError::Port),
        ("https://host:1:2/", UrlError::Port),
        ("https://host\\@evil.example/", UrlError::Character),
        ("https://host/a b", UrlError::Character),
        ("https://host/\r\nX: y", UrlError::Character),
        ("https://ho\nst/", UrlError::Character),
        ("https://host/\0", UrlError::Character),
        ("https://host/\x7f", UrlError::Character),
        ("https://host/ä", UrlError::Character),
        ("https://host/#part", UrlError::Character),
    ] {
        assert_eq!(parse(text), Err(error), "{text:?}");
    }
    let host = |size| format!("https://{}/", "h".repeat(size));
    assert!(parse(&host(253)).is_ok());
    assert_eq!(parse(&host(254)), Err(UrlError::Host));
    let long = |size| {
        let mut text = String::from("https://host/");
        text.extend((13..size).map(|_| 'x'));
        text
    };
    assert!(parse(&long(URL_MAX)).is_ok());
    assert_eq!(parse(&long(URL_MAX + 1)), Err(UrlError::TooLong));
}

#[test]
fn plain_http_only_where_it_is_allowed() {
    let url = Url::parse("http://127.0.0.1:8080/x", Schemes::InsecureHttpForTests).unwrap();
    assert_eq!((url.scheme(), url.port()), (Scheme::Http, 8080));
    assert_eq!(Url::parse("http://h/", Schemes::InsecureHttpForTests).unwrap().port(), 80);
    assert_eq!(Url::parse("https://h/", Schemes::InsecureHttpForTests).unwrap().port(), 443);
}

#[test]
fn nothing_secret_is_printed() {
    let url = parse("https://host/secret-path?X-Amz-Signature=secret").unwrap();
    let shown = format!("{url:?}");
    assert!(shown.contains("host") && !shown.contains("secret"), "{shown}");
    for error in [UrlError::TooLong, UrlError::UserInfo, UrlError::Character] {
        assert!(format!("{error} {error:?}").len() > 20);
    }
}

#[test]
fn one_connection_serves_one_origin() {
    let same = |a, b| parse(a).unwrap().same_origin(&parse(b).unwrap());
    assert!(same("https://host/a", "https://HOST:443/b?c"));
    assert!(!same("https://host/a", "https://host:444/a"));
    assert!(!same("https://host/a", "https://host2/a"));
}
