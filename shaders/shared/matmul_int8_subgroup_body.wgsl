// matmul of activations that quantize wrote, with subgroups: a lane owns ROWS rows, a workgroup
// WORKGROUP * ROWS rows of eight tokens. Each of eight lanes loads a block of one token, which is then
// broadcast. Needs subgroups of eight lanes or more.
// WGSL wants the lane of a broadcast as a constant, hence a copy of the step for each of the eight.
#import weight
#import layout
#import int8_block
#import int8_x
#import matmul_io

override WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let all_lane = group.x * WORKGROUP + lane;
    let first_token = group.y * 8u;
    let n_blocks = p.n_cols / 32u;
    var at: array<u32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        at[r] = row_begin(min(row_of(all_lane, r, ROWS), p.n_rows - 1u), p.n_cols);
    }
    let x_begin = min(first_token + subgroup_lane % 8u, p.n_tokens - 1u) * n_blocks * 3u;
    var sum: array<f32, 8 * ROWS>;
    var offset = 0u;
    for (var first = 0u; first < n_blocks; first += SUPER) {
        var scales: array<Scales, ROWS>;
        let n = min(SUPER, n_blocks - first);
        for (var r = 0u; r < ROWS; r++) { scales[r] = load_scales(at[r] + offset, n); }
        offset += scale_words(n) * NEXT;
        for (var k = 0u; k < n; k++) {
            var w: array<IntBlock, ROWS>;
            for (var r = 0u; r < ROWS; r++) {
                w[r] = int_block(scales[r], k, load_block(scales[r], at[r] + offset, k));
            }
            let xs = int_x(x_begin + (first + k) * 3u);
            {
                let x = IntX(
                    subgroupBroadcast(xs.low, 0u),
                    subgroupBroadcast(xs.high, 0u),
                    subgroupBroadcast(xs.scale, 0u),
                    subgroupBroadcast(xs.sums, 0u),
                );
                for (var r = 0u; r < ROWS; r++) { sum[0u * ROWS + r] = int_dot(w[r], x, sum[0u * ROWS + r]); }
            }
            {
                let x = IntX(
                    subgroupBroadcast(xs.low, 1u),
                    subgroupBroadcast(xs.high, 1u),
                    subgroupBroadcast(xs.scale, 1u),
                    subgroupBroadcast(xs.sums, 1u),
                );
                for (var r = 0u; r < ROWS; r++) { sum[1u * ROWS + r] = int_dot(w[r], x, sum[1u * ROWS + r]); }
            }
            {
                let x = IntX(
                    subgroupBroadcast(xs.low, 2u),
                    subgroupBroadcast(xs.high, 2u),
                    subgroupBroadcast(xs.scale, 2u),
                    subgroupBroadcast(xs.sums, 2u),
                );
                for (var r = 0u; r < ROWS; r++) { sum[2u * ROWS + r] = int_dot(w[r], x, sum[2u * ROWS + r]); }
            }
            {
                let x = IntX(
                    subgroupBroadcast(xs.low, 3u),
                    subgroupBroadcast(xs.high, 3u),
                    subgroupBroadcast(xs.scale, 3u),
                    subgroupBroadcast(xs.sums, 3u),
                );
                for (var r = 0u; r < ROWS; r++) { sum[3u * ROWS + r] = int_dot(w[r], x, sum[3u * ROWS + r]); }
            }
            {
                let x = IntX(
                    subgroupBroadcast(xs.low, 4u),
                    subgroupBroadcast(xs.high, 4u),
                    subgroupBroadcast(xs.scale, 4u),
                    subgroupBroadcast(xs.sums, 4u),
                );
                for (var r = 0u; r < ROWS; r++) { sum[4u * ROWS + r] = int_dot(w[r], x, sum[4u * ROWS + r]); }
            }
            {
                let x = IntX(
                    subgroupBroadcast(xs.low, 5u),
                    subgroupBroadcast(xs.high, 5u),
                    subgroupBroadcast(xs.scale, 5u),
                    subgroupBroadcast(xs.sums, 5u),
                );
                for (var r = 0u; r < ROWS; r++) { sum[5u * ROWS + r] = int_dot(w[r], x, sum[5u * ROWS + r]); }
            }
            {
                let x = IntX(
                    subgroupBroadcast(xs.low, 6u),
                    subgroupBroadcast(xs.high, 6u),
                    subgroupBroadcast(xs.scale, 6u),
                    subgroupBroadcast(xs.sums, 6u),
                );
                for (var r = 0u; r < ROWS; r++) { sum[6u * ROWS + r] = int_dot(w[r], x, sum[6u * ROWS + r]); }
            }
            {
                let x = IntX(
                    subgroupBroadcast(xs.low, 7u),
                    subgroupBroadcast(xs.high, 7u),
                    subgroupBroadcast(xs.scale, 7u),
                    subgroupBroadcast(xs.sums, 7u),
                );
                for (var r = 0u; r < ROWS; r++) { sum[7u * ROWS + r] = int_dot(w[r], x, sum[7u * ROWS + r]); }
            }
        }
        offset += quant_words(n) * NEXT;
    }
    for (var t = 0u; t < 8u; t++) {
        for (var r = 0u; r < ROWS; r++) {
            store(first_token + t, row_of(all_lane, r, ROWS), sum[t * ROWS + r]);
        }
    }
}
