// silu_mul: one lane four elements.
struct SiluMulParams {
    n_tokens: u32,
    n_ff: u32,
}

@group(0) @binding(0) var<uniform> p: SiluMulParams;
@group(0) @binding(1) var<storage, read> gate_up: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let n = p.n_ff / 4u;
    let token = id.x / n;
    if token >= p.n_tokens {
        return;
    }
    let at = id.x + token * n;
    let gate = gate_up[at];
    out[id.x] = gate / (1.0 + exp(-gate)) * gate_up[at + n];
}
