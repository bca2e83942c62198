// attention without subgroups: one workgroup works for one token and one query head, 64 positions at
// a time, with the running maximum and sum of FlashAttention (arXiv:2205.14135). For the scores a
// lane owns a position; for the output it owns the elements lane, lane + 64 … of the head. HEAD_DIM
// is a multiple of four.
#import dot4
#import attention_io

@group(0) @binding(1) var<storage, read> queries: array<vec4<f32>>;
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
    let begin = first_seen(p.pos + token);
    let end = p.pos + token + 1u;
    let begin_slot = begin % p.n_slots;
    let cache = head / (p.n_heads / p.n_kv_heads) * p.n_slots;
    let query = (token * p.n_heads + head) * (HEAD_DIM / 4u);
    var largest = MASKED;
    var total = 0.0;
    var acc: array<f32, OUT>;

    for (var base = begin; base < end; base += TILE) {
        let n = min(TILE, end - base);
        var score = MASKED;
        if lane < n {
            score = 0.0;
            let at = (cache + slot_of(base + lane, begin, begin_slot)) * (HEAD_DIM / 4u);
            for (var i = 0u; i < HEAD_DIM / 4u; i++) {
                score = dot4(k_cache[at + i], queries[query + i], score);
            }
            score = capped_score(score * p.scale);
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
            let at = (cache + slot_of(base + j, begin, begin_slot)) * HEAD_DIM;
            total += weight;
            for (var i = 0u; i < OUT; i++) {
                let element = min(i * TILE + lane, HEAD_DIM - 1u);
                acc[i] = fma(weight, v_cache[at + element], acc[i]);
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
