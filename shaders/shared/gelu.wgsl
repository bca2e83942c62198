// GELU in its tanh form (arXiv:1606.08415), as a product with a sigmoid: 1.5957691 is 2 sqrt(2 / pi).
fn gelu(x: vec4<f32>) -> vec4<f32> {
    return x / (1.0 + exp(-1.5957691 * (x + 0.044715 * x * x * x)));
}
