// The walk of attention over the cache, shared by the forms that use subgroups. For the scores a lane
// owns a position and the queries are broadcast. For the output eight lanes own the head, four elements
// of each 32 a lane, and eight positions; in a larger subgroup the others of its positions are those of
// the other lanes, and the sums of all meet at the end.
#import dot4
#import attention_io

@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

const PARTS = HEAD_DIM / 32u;

// What a subgroup knows of its queries: the queries, spread over eight lanes; the largest score; the
// lane's share of the sum of weights; the lane's elements of the weighted sum of its positions' values.
var<private> q: array<vec4<f32>, QUERIES * PARTS>;
var<private> largest: array<f32, QUERIES>;
var<private> total: array<f32, QUERIES>;
var<private> acc: array<vec4<f32>, QUERIES * PARTS>;

// Takes the positions begin .. end - 1 of a head's cache into account; `sees` tells which of them query m
// does. Positions past the end have no weight and read the last one.
fn walk(cache: u32, begin: u32, end: u32, lane: u32) {
    let begin_slot = begin % p.n_slots;
    // Of the eight positions of SUBGROUP whose values this lane takes.
    let first = lane / 8u * 8u;
    for (var base = begin; base < end; base += SUBGROUP) {
        let key_at = slot_begin(cache, base + lane, begin, end, begin_slot);
        var score: array<f32, QUERIES>;
        for (var c = 0u; c < PARTS; c++) {
            let k0 = k_at(key_at + c * 8u + 0u);
            let k1 = k_at(key_at + c * 8u + 1u);
            let k2 = k_at(key_at + c * 8u + 2u);
            let k3 = k_at(key_at + c * 8u + 3u);
            let k4 = k_at(key_at + c * 8u + 4u);
            let k5 = k_at(key_at + c * 8u + 5u);
            let k6 = k_at(key_at + c * 8u + 6u);
            let k7 = k_at(key_at + c * 8u + 7u);
            for (var m = 0u; m < QUERIES; m++) {
                let part = q[m * PARTS + c];
                var s = score[m];
                s = dot4(k0, subgroupBroadcast(part, 0u), s);
                s = dot4(k1, subgroupBroadcast(part, 1u), s);
                s = dot4(k2, subgroupBroadcast(part, 2u), s);
                s = dot4(k3, subgroupBroadcast(part, 3u), s);
                s = dot4(k4, subgroupBroadcast(part, 4u), s);
                s = dot4(k5, subgroupBroadcast(part, 5u), s);
                s = dot4(k6, subgroupBroadcast(part, 6u), s);
                s = dot4(k7, subgroupBroadcast(part, 7u), s);
                score[m] = s;
            }
        }
        for (var m = 0u; m < QUERIES; m++) {
            let s = select(MASKED, capped_score(score[m]), base + lane < end && sees(m, base + lane));
            let now = max(largest[m], subgroupMax(s));
            let shrink = exp(largest[m] - now);
            score[m] = exp(s - now);
            total[m] = fma(total[m], shrink, score[m]);
            largest[m] = now;
            for (var c = 0u; c < PARTS; c++) {
                acc[m * PARTS + c] *= shrink;
            }
        }
        var weight: array<f32, QUERIES * 8u>;
        for (var m = 0u; m < QUERIES; m++) {
            if SUBGROUP == 8u {
                weight[m * 8u + 0u] = subgroupBroadcast(score[m], 0u);
                weight[m * 8u + 1u] = subgroupBroadcast(score[m], 1u);
                weight[m * 8u + 2u] = subgroupBroadcast(score[m], 2u);
                weight[m * 8u + 3u] = subgroupBroadcast(score[m], 3u);
                weight[m * 8u + 4u] = subgroupBroadcast(score[m], 4u);
                weight[m * 8u + 5u] = subgroupBroadcast(score[m], 5u);
                weight[m * 8u + 6u] = subgroupBroadcast(score[m], 6u);
                weight[m * 8u + 7u] = subgroupBroadcast(score[m], 7u);
            } else {
                for (var j = 0u; j < 8u; j++) {
                    weight[m * 8u + j] = subgroupShuffle(score[m], first + j);
                }
            }
        }
        let at0 = slot_begin(cache, base + first + 0u, begin, end, begin_slot) + lane % 8u;
        let at1 = slot_begin(cache, base + first + 1u, begin, end, begin_slot) + lane % 8u;
        let at2 = slot_begin(cache, base + first + 2u, begin, end, begin_slot) + lane % 8u;
        let at3 = slot_begin(cache, base + first + 3u, begin, end, begin_slot) + lane % 8u;
        let at4 = slot_begin(cache, base + first + 4u, begin, end, begin_slot) + lane % 8u;
        let at5 = slot_begin(cache, base + first + 5u, begin, end, begin_slot) + lane % 8u;
        let at6 = slot_begin(cache, base + first + 6u, begin, end, begin_slot) + lane % 8u;
        let at7 = slot_begin(cache, base + first + 7u, begin, end, begin_slot) + lane % 8u;
        for (var c = 0u; c < PARTS; c++) {
            let v0 = v_at(at0 + c * 8u);
            let v1 = v_at(at1 + c * 8u);
            let v2 = v_at(at2 + c * 8u);
            let v3 = v_at(at3 + c * 8u);
            let v4 = v_at(at4 + c * 8u);
            let v5 = v_at(at5 + c * 8u);
            let v6 = v_at(at6 + c * 8u);
            let v7 = v_at(at7 + c * 8u);
            for (var m = 0u; m < QUERIES; m++) {
                var a = acc[m * PARTS + c];
                a = fma(vec4<f32>(weight[m * 8u + 0u]), v0, a);
                a = fma(vec4<f32>(weight[m * 8u + 1u]), v1, a);
                a = fma(vec4<f32>(weight[m * 8u + 2u]), v2, a);
                a = fma(vec4<f32>(weight[m * 8u + 3u]), v3, a);
                a = fma(vec4<f32>(weight[m * 8u + 4u]), v4, a);
                a = fma(vec4<f32>(weight[m * 8u + 5u]), v5, a);
                a = fma(vec4<f32>(weight[m * 8u + 6u]), v6, a);
                a = fma(vec4<f32>(weight[m * 8u + 7u]), v7, a);
                acc[m * PARTS + c] = a;
            }
        }
    }
}

// Where the key and the value of a position start; those past the end have no weight and read the last one.
fn slot_begin(cache: u32, position: u32, begin: u32, end: u32, begin_slot: u32) -> u32 {
    return (cache + slot_of(min(position, end - 1u), begin, begin_slot)) * (HEAD_DIM / 4u);
}

// Writes the output of query m, whose first four elements are `at`.
fn put_out(m: u32, at: u32, lane: u32) {
    let sum = subgroupAdd(total[m]);
    for (var c = 0u; c < PARTS; c++) {
        var a = acc[m * PARTS + c];
        for (var distance = 8u; distance < SUBGROUP; distance *= 2u) {
            a += subgroupShuffleXor(a, distance);
        }
        if lane < 8u {
            out[at + c * 8u + lane] = a / sum;
        }
    }
}
