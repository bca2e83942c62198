//! How far two sets of numbers agree, by the measures that the field uses.

/// Normalised mean squared error: `sum (a - b)² / sum b²`, `b` the reference.
pub fn nmse(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f64| x * x;
    let error: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let power: f64 = b.iter().map(|b| square(f64::from(*b))).sum();
    if error == 0.0 { 0.0 } else { error / power }
}

/// Standard deviation of all values.
pub fn std_dev(values: &[f32]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// Largest absolute difference; NaN counts as infinite.
pub fn max_difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let differ = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs();
    a.iter().zip(b).map(differ).fold(0.0, |m, d| if d.is_nan() { f64::INFINITY } else { m.max(d) })
}

/// `ln sum exp`.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|l| f64::from(l - largest).exp()).sum();
    f64::from(largest) + sum.ln()
}

/// Index of the first largest value.
pub fn arg_max(logits: &[f32]) -> usize {
    (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best })
}

/// Kullback-Leibler divergence of the distribution of `logits` from that of `reference`, in nats.
pub fn kl_divergence(logits: &[f32], reference: &[f32]) -> f64 {
    assert_eq!(logits.len(), reference.len());
    let (of_logits, of_reference) = (log_sum_exp(logits), log_sum_exp(reference));
    let term = |(l, r): (&f32, &f32)| {
        let (l, r) = (f64::from(*l) - of_logits, f64::from(*r) - of_reference);
        r.exp() * (r - l)
    };
    logits.iter().zip(reference).map(term).sum()
}
