// cap * tanh(v / cap). Written with exp, of an argument that cannot overflow: tanh itself is no number
// beyond some 44 on some drivers.
fn capped(v: f32, cap: f32) -> f32 {
    return cap * (1.0 - 2.0 / (exp(2.0 * clamp(v / cap, -10.0, 10.0)) + 1.0));
}
