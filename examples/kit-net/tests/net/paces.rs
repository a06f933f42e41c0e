//! Pauses.

use kit_net::pace::Pace;

#[test]
fn pauses_double_up_to_the_longest_with_a_quarter_of_jitter() {
    for seed in 0..1000 {
        let mut pace = Pace::new(1_000, 60_000, seed);
        for expected in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            let pause = pace.pause_ms();
            assert!((expected..expected + expected / 4).contains(&pause), "seed {seed}: {pause}");
        }
        pace.reset();
        assert!(pace.pause_ms() < 1_250);
    }
}

#[test]
fn devices_that_failed_together_do_not_come_back_together() {
    let pauses = |seed| {
        let mut pace = Pace::new(1_000, 60_000, seed);
        [(); 7].map(|()| pace.pause_ms())
    };
    let all: std::collections::BTreeSet<_> = (0..1000).map(pauses).collect();
    assert!(all.len() > 990, "only {} of 1000 differ", all.len());
}

#[test]
fn extremes_do_no_harm() {
    let mut pace = Pace::new(0, 0, 0);
    assert_eq!(pace.pause_ms(), 0);
    let mut pace = Pace::new(u32::MAX / 2, u32::MAX / 2, 7);
    assert!(pace.pause_ms() >= u32::MAX / 2 && pace.pause_ms() >= u32::MAX / 2);
}
