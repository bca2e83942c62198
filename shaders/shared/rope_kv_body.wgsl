// rope_kv: LANES lanes a head; each sums the squares of the whole head where it is normalised, so that
// no barrier is needed, and writes every LANES-th four elements.
struct RopeKvParams {
    n_tokens: u32,
    pos: u32,
    n_heads: u32,
    n_kv_heads: u32,
    head_dim: u32,
    n_slots: u32,
    rope_dim: u32,
    halves: u32,
    has_norm: u32,
    has_bias: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> p: RopeKvParams;
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> rope: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> heads: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> queries: array<vec4<f32>>;

#import heads

const LANES: u32 = 8u;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let n = p.head_dim / 4u;
    let n_heads = p.n_heads + 2u * p.n_kv_heads;
    let head = id.x / LANES % n_heads;
    let token = id.x / LANES / n_heads;
    if token >= p.n_tokens {
        return;
    }
    let kv_head = (head - p.n_heads) % p.n_kv_heads;
    let at = (kv_head * p.n_slots + (p.pos + token) % p.n_slots) * n;
    if head >= p.n_heads + p.n_kv_heads {
        for (var i = id.x % LANES; i < n; i += LANES) {
            put_v(at + i, biased(token, head, i));
        }
        return;
    }
    var square = vec4<f32>();
    if p.has_norm == 1u {
        for (var i = 0u; i < n; i++) {
            let v = biased(token, head, i);
            square = fma(v, v, square);
        }
    }
    let scale = head_scale(square.x + square.y + square.z + square.w);
    for (var i = id.x % LANES; i < n; i += LANES) {
        let v = rotated(token, head, i, scale);
        if head < p.n_heads {
            queries[(token * p.n_heads + head) * n + i] = v;
        } else {
            put_k(at + i, v);
        }
    }
}
