//! The named intermediates of a forward pass, and the first of them in which two passes differ.

use halfbyte::{KvCache, LogitRows, Model, Result, Token};

use crate::agreement::nmse;

/// A name, e.g. `layer.3.attention`, and the values.
pub type Intermediate = (String, Vec<f32>);

/// Runs one forward pass for the logits of all `tokens` and returns its intermediates in order.
///
/// # Errors
/// As [`Model::forward`].
pub fn record(model: &Model, tokens: &[Token], kv: &mut KvCache) -> Result<Vec<Intermediate>> {
    let mut seen = Vec::new();
    let mut tap = |name: &str, values: &[f32]| seen.push((name.to_owned(), values.to_vec()));
    model.forward_tapped(tokens, kv, LogitRows::All, &mut Vec::new(), Some(&mut tap))?;
    Ok(seen)
}

/// Where two passes part.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// The intermediate.
    pub name: String,
    /// Its normalised mean squared error; infinite where its shape or name differs.
    pub nmse: f64,
}

/// The first intermediate, in the order of the forward pass, whose error against `reference` is over
/// `bound` or no number.
pub fn first_divergence(
    tested: &[Intermediate],
    reference: &[Intermediate],
    bound: f64,
) -> Option<Divergence> {
    let missing = ("nothing".to_owned(), Vec::new());
    let longest = tested.len().max(reference.len());
    (0..longest).find_map(|i| {
        let (name, values) = tested.get(i).unwrap_or(&missing);
        let (reference_name, reference) = reference.get(i).unwrap_or(&missing);
        let alike = name == reference_name && values.len() == reference.len();
        let nmse = if alike { nmse(values, reference) } else { f64::INFINITY };
        let agrees = nmse <= bound;
        (!agrees).then(|| Divergence { name: reference_name.clone(), nmse })
    })
}
