// rope_kv: one lane a pair of elements of one head. Query heads are rotated in place, key heads are
// rotated into the cache, value heads are copied into it.
struct RopeKvParams {
    n_tokens: u32,
    pos: u32,
    n_heads: u32,
    n_kv_heads: u32,
    head_dim: u32,
    rope_dim: u32,
    kv_capacity: u32,
}

@group(0) @binding(0) var<uniform> p: RopeKvParams;
@group(0) @binding(1) var<storage, read_write> qkv: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> k_cache: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> v_cache: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> rope: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let pairs = p.head_dim / 2u;
    let heads = p.n_heads + 2u * p.n_kv_heads;
    let pair = id.x % pairs;
    let head = id.x / pairs % heads;
    let token = id.x / pairs / heads;
    if token >= p.n_tokens {
        return;
    }
    var v = qkv[id.x];
    let position = p.pos + token;
    let is_value = head >= p.n_heads + p.n_kv_heads;
    if !is_value && pair < p.rope_dim / 2u {
        let turn = rope[position * (p.rope_dim / 2u) + pair];
        v = vec2<f32>(v.x * turn.x - v.y * turn.y, v.x * turn.y + v.y * turn.x);
    }
    if head < p.n_heads {
        qkv[id.x] = v;
        return;
    }
    let kv_head = (head - p.n_heads) % p.n_kv_heads;
    let at = (kv_head * p.kv_capacity + position) * pairs + pair;
    if is_value {
        v_cache[at] = v;
    } else {
        k_cache[at] = v;
    }
}
