// The walk of attention over the cache, shared by the forms that use subgroups. For the scores a lane
// owns a position and the queries are broadcast; for the output a lane owns elements of the head and
// the weights are broadcast.
#import dot4
#import attention_io

@group(0) @binding(4) var<storage, read_write> out: array<vec2<f32>>;

const PARTS = HEAD_DIM / 32u;
const PAIRS = HEAD_DIM / SUBGROUP / 2u;

// What a subgroup knows of its queries: the queries, spread over eight lanes; the largest score; the
// lane's share of the sum of weights; the lane's pairs of elements of the weighted sum of values.
var<private> q: array<vec4<f32>, QUERIES * PARTS>;
var<private> largest: array<f32, QUERIES>;
var<private> total: array<f32, QUERIES>;
var<private> acc: array<vec2<f32>, QUERIES * PAIRS>;

// Takes the positions begin .. end - 1 of a head's cache into account; `sees` tells which of them query m
// does. Positions past the end have no weight and read the last one.
fn walk(cache: u32, begin: u32, end: u32, lane: u32) {
    let begin_slot = begin % p.n_slots;
    for (var base = begin; base < end; base += SUBGROUP) {
        let key_slot = slot_of(min(base + lane, end - 1u), begin, begin_slot);
        var score: array<f32, QUERIES>;
        for (var c = 0u; c < PARTS; c++) {
            let at = (cache + key_slot) * (HEAD_DIM / 4u) + c * 8u;
            let k0 = k_at(at + 0u);
            let k1 = k_at(at + 1u);
            let k2 = k_at(at + 2u);
            let k3 = k_at(at + 3u);
            let k4 = k_at(at + 4u);
            let k5 = k_at(at + 5u);
            let k6 = k_at(at + 6u);
            let k7 = k_at(at + 7u);
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
            for (var i = 0u; i < PAIRS; i++) {
                acc[m * PAIRS + i] *= shrink;
            }
        }
        for (var first = 0u; first < SUBGROUP; first += 8u) {
            let slot0 = slot_of(min(base + first + 0u, end - 1u), begin, begin_slot);
            let slot1 = slot_of(min(base + first + 1u, end - 1u), begin, begin_slot);
            let slot2 = slot_of(min(base + first + 2u, end - 1u), begin, begin_slot);
            let slot3 = slot_of(min(base + first + 3u, end - 1u), begin, begin_slot);
            let slot4 = slot_of(min(base + first + 4u, end - 1u), begin, begin_slot);
            let slot5 = slot_of(min(base + first + 5u, end - 1u), begin, begin_slot);
            let slot6 = slot_of(min(base + first + 6u, end - 1u), begin, begin_slot);
            let slot7 = slot_of(min(base + first + 7u, end - 1u), begin, begin_slot);
            var weight: array<f32, QUERIES>;
            for (var m = 0u; m < QUERIES; m++) {
                if SUBGROUP == 8u {
                    weight[m] = score[m];
                } else {
                    weight[m] = subgroupShuffle(score[m], first + lane % 8u);
                }
            }
            for (var i = 0u; i < PAIRS; i++) {
                let v0 = v_at((cache + slot0) * (HEAD_DIM / 2u) + i * SUBGROUP + lane);
                let v1 = v_at((cache + slot1) * (HEAD_DIM / 2u) + i * SUBGROUP + lane);
                let v2 = v_at((cache + slot2) * (HEAD_DIM / 2u) + i * SUBGROUP + lane);
                let v3 = v_at((cache + slot3) * (HEAD_DIM / 2u) + i * SUBGROUP + lane);
                let v4 = v_at((cache + slot4) * (HEAD_DIM / 2u) + i * SUBGROUP + lane);
                let v5 = v_at((cache + slot5) * (HEAD_DIM / 2u) + i * SUBGROUP + lane);
                let v6 = v_at((cache + slot6) * (HEAD_DIM / 2u) + i * SUBGROUP + lane);
                let v7 = v_at((cache + slot7) * (HEAD_DIM / 2u) + i * SUBGROUP + lane);
                for (var m = 0u; m < QUERIES; m++) {
                    var a = acc[m * PAIRS + i];
                    a = fma(vec2<f32>(subgroupBroadcast(weight[m], 0u)), v0, a);
                    a = fma(vec2<f32>(subgroupBroadcast(weight[m], 1u)), v1, a);
                    a = fma(vec2<f32>(subgroupBroadcast(weight[m], 2u)), v2, a);
                    a = fma(vec2<f32>(subgroupBroadcast(weight[m], 3u)), v3, a);
                    a = fma(vec2<f32>(subgroupBroadcast(weight[m], 4u)), v4, a);
                    a = fma(vec2<f32>(subgroupBroadcast(weight[m], 5u)), v5, a);
                    a = fma(vec2<f32>(subgroupBroadcast(weight[m], 6u)), v6, a);
                    a = fma(vec2<f32>(subgroupBroadcast(weight[m], 7u)), v7, a);
                    acc[m * PAIRS + i] = a;
                }
            }
        }
    }
}
