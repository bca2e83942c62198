// rope_attention of one token with subgroups: rotates the queries and takes the new key and value into
// the cache as rope_kv does, and attends as attention_subgroup does. The new position is taken from
// registers and its slot is not read, so that no barrier is needed; subgroups that share a key/value head
// write the same bits.
#import attention_subgroup_body
#import heads

@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> rope: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> heads: array<vec4<f32>>;

const QUERIES = HEADS;
// How often the eight lanes that hold a head repeat in a subgroup.
const COPIES = f32(SUBGROUP / 8u);

// The factor of a query's or key's norm, 1 where it has none.
fn scale_of(head: u32, lane: u32) -> f32 {
    if p.has_norm == 0u {
        return 1.0;
    }
    var square = vec4<f32>();
    for (var c = 0u; c < PARTS; c++) {
        let v = biased(0u, head, c * 8u + lane % 8u);
        square = fma(v, v, square);
    }
    return head_scale(subgroupAdd(square.x + square.y + square.z + square.w) / COPIES);
}

fn sees(m: u32, position: u32) -> bool {
    return position < p.pos;
}

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first_head = group.x * HEADS;
    let kv_head = first_head / (p.n_heads / p.n_kv_heads);
    let cache = kv_head * p.n_slots;
    let slot = cache + p.pos % p.n_slots;
    for (var m = 0u; m < QUERIES; m++) {
        let scale = scale_of(first_head + m, lane);
        for (var c = 0u; c < PARTS; c++) {
            q[m * PARTS + c] = rotated(0u, first_head + m, c * 8u + lane % 8u, scale) * p.scale;
        }
    }
    let key = p.n_heads + kv_head;
    let scale = scale_of(key, lane);
    for (var c = 0u; c < PARTS; c++) {
        let i = c * 8u + lane % 8u;
        let k = rotated(0u, key, i, scale);
        put_k(slot * (HEAD_DIM / 4u) + i, k);
        for (var m = 0u; m < QUERIES; m++) {
            largest[m] = dot4(q[m * PARTS + c], k, largest[m]);
        }
    }
    for (var m = 0u; m < QUERIES; m++) {
        largest[m] = capped_score(subgroupAdd(largest[m]) / COPIES);
        total[m] = select(0.0, 1.0, lane == 0u);
    }
    for (var c = 0u; c < PARTS; c++) {
        let i = c * 8u + lane % 8u;
        let v = biased(0u, p.n_heads + p.n_kv_heads + kv_head, i);
        put_v(slot * (HEAD_DIM / 4u) + i, v);
        for (var m = 0u; m < QUERIES; m++) {
            acc[m * PARTS + c] = select(vec4<f32>(), v, lane < 8u);
        }
    }
    walk(cache, first_seen(p.pos), p.pos, lane);
    for (var m = 0u; m < QUERIES; m++) {
        put_out(m, (first_head + m) * (HEAD_DIM / 4u), lane);
    }
}
