// attention without subgroups: one workgroup works for one token and one query head, 64 positions at
// a time, with the running maximum and sum of FlashAttention (arXiv:2205.14135). For the scores a
// lane owns a position; for the output it owns the elements lane, lane + 64 … of the head. HEAD_DIM
// is a multiple of four.
#import dot4
#import attention_io

@group(0) @binding(2) var<storage, read> k_cache: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v_cache: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const TILE: u32 = 64u;
const OUT = (HEAD_DIM + TILE - 1u) / TILE;

var<workgroup> tile: array<f32, TILE>;

@compute @workgroup_size(TILE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = group.x;
    let token = group.y;
    let n_positions = p.pos + token + 1u;
    let cache = head / (p.n_heads / p.n_kv_heads) * p.kv_capacity;
    let query = query_start(token, head);
    var largest = MASKED;
    var total = 0.0;
    var acc: array<f32, OUT>;

    for (var base = 0u; base < n_positions; base += TILE) {
        let n = min(TILE, n_positions - base);
        var score = MASKED;
        if lane < n {
            score = 0.0;
            for (var i = 0u; i < HEAD_DIM / 4u; i++) {
                score = dot4(k_cache[(cache + base + lane) * (HEAD_DIM / 4u) + i], qkv[query + i], score);
            }
            score *= p.scale;
        }
        workgroupBarrier();
        tile[lane] = score;
        workgroupBarrier();
        var now = largest;
        for (var j = 0u; j < n; j++) {
            now = max(now, tile[j]);
        }
        let shrink = exp(largest - now);
        largest = now;
        total *= shrink;
        for (var i = 0u; i < OUT; i++) {
            acc[i] *= shrink;
        }
        for (var j = 0u; j < n; j++) {
            let weight = exp(tile[j] - now);
            total += weight;
            for (var i = 0u; i < OUT; i++) {
                let element = min(i * TILE + lane, HEAD_DIM - 1u);
                acc[i] = fma(weight, v_cache[(cache + base + j) * HEAD_DIM + element], acc[i]);
            }
        }
    }

    for (var i = 0u; i < OUT; i++) {
        let element = i * TILE + lane;
        if element < HEAD_DIM {
            out[(token * p.n_heads + head) * HEAD_DIM + element] = acc[i] / total;
        }
    }
}
