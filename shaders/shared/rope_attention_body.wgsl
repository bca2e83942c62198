// rope_attention of one token with subgroups: rotates the queries and the new key, writes the new key
// and value into the cache, and attends as attention_subgroup does. The new position is taken from
// registers and the cache is only read below it, so that no barrier is needed; subgroups that share a
// key/value head write the same bits.
#import attention_subgroup_body

const QUERIES = HEADS;

@group(0) @binding(5) var<storage, read> rope: array<vec4<f32>>;

fn positions_of(m: u32) -> u32 {
    return p.pos;
}

// Elements 4 i .. 4 i + 3 of a head, turned by their angles.
fn rotate(v: vec4<f32>, i: u32) -> vec4<f32> {
    if i >= p.rope_dim / 4u {
        return v;
    }
    let turn = rope[p.pos * (p.rope_dim / 4u) + i];
    return v * turn.xxzz + vec4<f32>(-v.y, v.x, -v.w, v.z) * turn.yyww;
}

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first_head = group.x * HEADS;
    let kv_head = first_head / (p.n_heads / p.n_kv_heads);
    let cache = kv_head * p.kv_capacity;
    let key = query_start(0u, p.n_heads + kv_head);
    let value = query_start(0u, p.n_heads + p.n_kv_heads + kv_head);
    for (var c = 0u; c < PARTS; c++) {
        let i = c * 8u + lane % 8u;
        let k = rotate(qkv[key + i], i);
        put_k((cache + p.pos) * (HEAD_DIM / 4u) + i, k);
        for (var m = 0u; m < QUERIES; m++) {
            q[m * PARTS + c] = rotate(qkv[query_start(0u, first_head + m) + i], i) * p.scale;
            largest[m] = dot4(q[m * PARTS + c], k, largest[m]);
        }
    }
    for (var m = 0u; m < QUERIES; m++) {
        largest[m] = subgroupAdd(largest[m]) / f32(SUBGROUP / 8u);
        total[m] = select(0.0, 1.0, lane == 0u);
    }
    for (var i = 0u; i < PAIRS; i++) {
        let pair = i * SUBGROUP + lane;
        let both = qkv[value + pair / 2u];
        let v = select(both.xy, both.zw, pair % 2u == 1u);
        put_v((cache + p.pos) * (HEAD_DIM / 2u) + pair, v);
        for (var m = 0u; m < QUERIES; m++) {
            acc[m * PAIRS + i] = v;
        }
    }
    walk(cache, p.pos, lane);
    for (var m = 0u; m < QUERIES; m++) {
        let sum = subgroupAdd(total[m]);
        for (var i = 0u; i < PAIRS; i++) {
            out[(first_head + m) * (HEAD_DIM / 2u) + i * SUBGROUP + lane] = acc[m * PAIRS + i] / sum;
        }
    }
}
