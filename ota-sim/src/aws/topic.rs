//! Topics the stand-in serves, and MQTT's filter rules.

/// The thing a reserved topic (`$aws/things/T/…`) belongs to; `None` for any other topic.
pub fn thing_of(topic: &str) -> Option<&str> {
    let (thing, rest) = topic.strip_prefix("$aws/things/")?.split_once('/')?;
    (!thing.is_empty() && !rest.is_empty()).then_some(thing)
}

/// Whether `filter` (with `+` and `#`) matches `topic`, by MQTT's rules but one: like AWS, `#` does
/// not match the parent level.
pub fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    // A wildcard in the first level never matches a topic that starts with `$` (MQTT 4.7.2).
    if topic.starts_with('$') && !filter.starts_with('$') {
        return false;
    }
    for level in filter.split('/') {
        match (level, levels.next()) {
            ("#", Some(_)) => return true,
            ("+", Some(_)) => {}
            (want, Some(have)) if want == have => {}
            (_, Some(_) | None) => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        assert!(matches("$aws/things/+/jobs/#", "$aws/things/a/jobs/x/get"));
        assert!(matches("a/+", "a/b"));
        assert!(!matches("a/+", "a/b/c"));
        assert!(!matches("a/#", "a"));
        assert!(!matches("#", "$aws/things"));
        assert!(matches("#", "x"));
        assert!(!matches("a/b", "a"));
        assert_eq!(thing_of("$aws/things/dev-7/jobs/get"), Some("dev-7"));
        assert_eq!(thing_of("$aws/things//jobs/get"), None);
        assert_eq!(thing_of("$aws/things/dev-7"), None);
    }
}
