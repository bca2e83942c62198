//! The sampler against distributions worked out by hand. The draws are random but seeded, so each
//! test gives the same result every time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use halfbyte::{Error, Sampler, SamplerConfig, Token};

const DRAWS: usize = 20_000;

/// Logits of the probabilities 0.1, 0.2, 0.3 and 0.4.
fn tenths() -> Vec<f32> {
    [1.0_f32, 2.0, 3.0, 4.0].iter().map(|p| p.ln()).collect()
}

/// Every filter off, temperature 1.
fn plain() -> SamplerConfig {
    SamplerConfig {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        repetition_penalty: 1.0,
        repetition_window: 64,
        seed: 7,
    }
}

fn draws(config: SamplerConfig, logits: &[f32], n: usize) -> Vec<Token> {
    let mut sampler = Sampler::new(config).unwrap();
    let mut draw = || sampler.sample(&mut logits.to_vec(), &[]).unwrap();
    (0..n).map(|_| draw()).collect()
}

fn one(config: SamplerConfig, logits: &[f32]) -> Token {
    draws(config, logits, 1)[0]
}

fn counts(config: SamplerConfig, logits: &[f32]) -> Vec<f64> {
    let mut counts = vec![0.0; logits.len()];
    for token in draws(config, logits, DRAWS) {
        counts[token as usize] += 1.0;
    }
    counts
}

/// Pearson's chi-square test: tokens of no weight never come, and the others as often as their
/// weights say. `16.27` and less is the 99.9 % quantile of up to three degrees of freedom.
fn assert_distribution(config: SamplerConfig, logits: &[f32], weights: &[f64]) {
    let total: f64 = weights.iter().sum();
    let mut chi_square = 0.0;
    for (count, weight) in counts(config, logits).iter().zip(weights) {
        let expected = weight / total * DRAWS as f64;
        if expected == 0.0 {
            assert_eq!(*count, 0.0, "a token that was filtered out came");
        } else {
            chi_square += (count - expected).powi(2) / expected;
        }
    }
    assert!(chi_square < 16.27, "chi-square is {chi_square}");
}

#[test]
fn temperature_is_a_power_on_the_probabilities() {
    let at = |temperature| SamplerConfig { temperature, ..plain() };
    assert_distribution(at(1.0), &tenths(), &[1.0, 2.0, 3.0, 4.0]);
    assert_distribution(at(0.5), &tenths(), &[1.0, 4.0, 9.0, 16.0]);
    assert_distribution(at(2.0), &tenths(), &[1.0, 2_f64.sqrt(), 3_f64.sqrt(), 2.0]);
}

#[test]
fn a_tiny_temperature_is_greedy_and_finite() {
    let config = SamplerConfig { temperature: f32::MIN_POSITIVE, ..plain() };
    assert_eq!(draws(config, &tenths(), 100), [3; 100]);
}

#[test]
fn top_k_keeps_the_likeliest() {
    let keep = |top_k| SamplerConfig { top_k, ..plain() };
    assert_distribution(keep(1), &tenths(), &[0.0, 0.0, 0.0, 1.0]);
    assert_distribution(keep(2), &tenths(), &[0.0, 0.0, 3.0, 4.0]);
    assert_distribution(keep(4), &tenths(), &[1.0, 2.0, 3.0, 4.0]);
    assert_distribution(keep(400), &tenths(), &[1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn top_k_finds_its_few_in_a_large_vocabulary() {
    // 7919 is prime to 128000, so every value comes once; the 40 highest lie scattered.
    let logits: Vec<f32> = (0..128_000_u32).map(|i| (i * 7919 % 128_000) as f32 / 1e6).collect();
    let config = SamplerConfig { top_k: 40, ..plain() };
    let mut seen = draws(config, &logits, 2000);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 40);
    assert!(seen.iter().all(|token| token * 7919 % 128_000 >= 127_960));
}

#[test]
fn top_p_keeps_the_fewest_that_reach_it() {
    let keep = |top_p| SamplerConfig { top_p, ..plain() };
    assert_distribution(keep(0.01), &tenths(), &[0.0, 0.0, 0.0, 1.0]);
    assert_distribution(keep(0.39), &tenths(), &[0.0, 0.0, 0.0, 1.0]);
    assert_distribution(keep(0.41), &tenths(), &[0.0, 0.0, 3.0, 4.0]);
    assert_distribution(keep(0.75), &tenths(), &[0.0, 2.0, 3.0, 4.0]);
    assert_distribution(keep(0.95), &tenths(), &[1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn top_p_counts_the_mass_of_many_small_tokens() {
    // 2000 tokens all but equally likely, in no order: half a token less than `kept` has the mass.
    let rank = |token: Token| token * 7919 % 2000;
    let logits: Vec<f32> = (0..2000).map(|token| rank(token) as f32 * 1e-7).collect();
    for kept in [20, 64, 541, 1501] {
        let config = SamplerConfig { top_p: (kept as f32 - 0.5) / 2000.0, ..plain() };
        let mut ranks: Vec<Token> = draws(config, &logits, DRAWS).into_iter().map(rank).collect();
        ranks.sort_unstable();
        ranks.dedup();
        assert_eq!(ranks, (2000 - kept..2000).collect::<Vec<_>>());
    }
}

#[test]
fn min_p_is_relative_to_the_likeliest() {
    let keep = |min_p| SamplerConfig { min_p, ..plain() };
    assert_distribution(keep(0.2), &tenths(), &[1.0, 2.0, 3.0, 4.0]);
    assert_distribution(keep(0.3), &tenths(), &[0.0, 2.0, 3.0, 4.0]);
    assert_distribution(keep(0.7), &tenths(), &[0.0, 0.0, 3.0, 4.0]);
    assert_distribution(keep(1.0), &tenths(), &[0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn filters_work_in_a_row_and_before_the_temperature() {
    // Top-k leaves 2, 3, 4 of 9; top-p 0.7 of that mass 3 and 4; a high temperature then levels
    // them without letting the others back in: weights 3^(1/4), 4^(1/4).
    let config = SamplerConfig { temperature: 4.0, top_k: 3, top_p: 0.7, ..plain() };
    assert_distribution(config, &tenths(), &[0.0, 0.0, 3_f64.powf(0.25), 2_f64.sqrt()]);
    let config = SamplerConfig { temperature: 4.0, top_k: 3, min_p: 0.6, ..plain() };
    assert_distribution(config, &tenths(), &[0.0, 0.0, 3_f64.powf(0.25), 2_f64.sqrt()]);
}

#[test]
fn a_repetition_is_penalised_once_and_only_in_the_window() {
    let penalised = |penalty, window, history: &[Token]| {
        let mut logits = vec![2.0, -1.0, 1.5, 0.0];
        let config = SamplerConfig {
            temperature: 0.0,
            repetition_penalty: penalty,
            repetition_window: window,
            ..plain()
        };
        let chosen = Sampler::new(config).unwrap().sample(&mut logits, history);
        (chosen.unwrap(), logits)
    };
    assert_eq!(penalised(2.0, 64, &[]), (0, vec![2.0, -1.0, 1.5, 0.0]));
    assert_eq!(penalised(2.0, 64, &[0, 1, 0, 3]), (2, vec![1.0, -2.0, 1.5, 0.0]));
    assert_eq!(penalised(2.0, 1, &[0, 2]), (0, vec![2.0, -1.0, 0.75, 0.0]));
    assert_eq!(penalised(2.0, 0, &[0, 2]), (0, vec![2.0, -1.0, 1.5, 0.0]));
    assert_eq!(penalised(0.5, 64, &[2]), (2, vec![2.0, -1.0, 3.0, 0.0]));
    assert_eq!(penalised(2.0, 64, &[99]), (0, vec![2.0, -1.0, 1.5, 0.0]));
}

#[test]
fn a_penalty_changes_the_odds_by_its_power() {
    // Token 3 has the logit ln 4; halved it is ln 2, so its weight falls from 4 to 2.
    let config = SamplerConfig { repetition_penalty: 2.0, ..plain() };
    let mut sampler = Sampler::new(config).unwrap();
    let mut threes = 0.0;
    for _ in 0..DRAWS {
        let token = sampler.sample(&mut tenths(), &[3]).unwrap();
        threes += f64::from(u8::from(token == 3));
    }
    // Weights 1, 2, 3, 2; the standard deviation of the share is 0.003.
    assert!((threes / DRAWS as f64 - 0.25).abs() < 0.01);
}

#[test]
fn a_seed_reproduces() {
    let with = |seed| draws(SamplerConfig { seed, ..SamplerConfig::default() }, &[0.0; 300], 64);
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}

#[test]
fn the_random_numbers_are_pcg32() {
    // The upper 8 bits of PCG-XSH-RR 64/32 with the state 42 and the reference's default stream,
    // computed apart from this project with the recurrence of pcg-random.org.
    let config = SamplerConfig { seed: 42, ..plain() };
    let expected = [29, 114, 212, 40, 70, 24, 13, 25];
    assert_eq!(draws(config, &[0.0; 256], 8), expected);
}

#[test]
fn neighbouring_seeds_are_unrelated() {
    let first = |seed| one(SamplerConfig { seed, ..plain() }, &[0.0; 4]);
    let mut counts = [0.0_f64; 4];
    for seed in 0..4000 {
        counts[first(seed) as usize] += 1.0;
    }
    let chi_square: f64 = counts.iter().map(|count| (count - 1000.0).powi(2) / 1000.0).sum();
    assert!(chi_square < 16.27, "chi-square is {chi_square}");
}

#[test]
fn greedy_takes_the_first_of_the_highest() {
    assert_eq!(one(SamplerConfig::greedy(), &[0.5; 5]), 0);
    assert_eq!(one(SamplerConfig::greedy(), &[-3.0, 2.0, 1.0, 2.0]), 1);
}

#[test]
fn a_vocabulary_of_one_has_one_choice() {
    assert_eq!(one(SamplerConfig::default(), &[-7.5]), 0);
    assert_eq!(one(SamplerConfig::greedy(), &[f32::MIN]), 0);
}

#[test]
fn logits_that_are_not_finite_are_never_chosen() {
    let logits = [f32::NAN, 1.0, f32::NEG_INFINITY, f32::INFINITY, 1.0];
    assert_eq!(one(SamplerConfig::greedy(), &logits), 1);
    assert_distribution(plain(), &logits, &[0.0, 1.0, 0.0, 0.0, 1.0]);
    let strict = SamplerConfig { top_k: 4, top_p: 0.9, min_p: 0.1, ..plain() };
    assert_distribution(strict, &logits, &[0.0, 1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn extreme_logits_do_not_overflow() {
    assert_eq!(draws(plain(), &[f32::MIN, f32::MAX], 50), [1; 50]);
}

#[test]
fn without_a_finite_logit_there_is_an_error() {
    for logits in [vec![], vec![f32::NAN; 3], vec![f32::NEG_INFINITY, f32::INFINITY]] {
        for config in [SamplerConfig::greedy(), SamplerConfig::default()] {
            let result = Sampler::new(config).unwrap().sample(&mut logits.clone(), &[0]);
            assert!(matches!(result, Err(Error::InvalidArgument(_))), "{logits:?}: {result:?}");
        }
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused = [
        SamplerConfig { temperature: -0.1, ..plain() },
        SamplerConfig { temperature: f32::NAN, ..plain() },
        SamplerConfig { temperature: f32::INFINITY, ..plain() },
        SamplerConfig { top_p: 0.0, ..plain() },
        SamplerConfig { top_p: 1.01, ..plain() },
        SamplerConfig { top_p: f32::NAN, ..plain() },
        SamplerConfig { min_p: -0.1, ..plain() },
        SamplerConfig { min_p: 1.1, ..plain() },
        SamplerConfig { min_p: f32::NAN, ..plain() },
        SamplerConfig { repetition_penalty: 0.0, ..plain() },
        SamplerConfig { repetition_penalty: f32::NAN, ..plain() },
        SamplerConfig { repetition_penalty: f32::INFINITY, ..plain() },
    ];
    for config in refused {
        let result = Sampler::new(config.clone());
        assert!(matches!(result, Err(Error::InvalidArgument(_))), "{config:?}");
    }
    assert!(Sampler::new(SamplerConfig::default()).is_ok());
}
