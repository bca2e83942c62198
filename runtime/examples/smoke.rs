use halfbyte::*;
use std::time::Instant;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let choice = if a[2] == "gpu" { BackendChoice::Gpu } else { BackendChoice::Cpu };
    let t = Instant::now();
    let m = Model::open(&a[1], choice).unwrap();
    eprintln!("load {:?} on {:?}", t.elapsed(), m.device());
    let ids = m.tokenizer().encode("Persuasion by Jane Austen. The sky is blue because of ", false).unwrap();
    let mut kv = m.new_kv_cache(1024).unwrap();
    let mut l = vec![];
    m.forward(&ids, &mut kv, LogitRows::Last, &mut l).unwrap();
    let n: usize = a[3].parse().unwrap();
    let mut out = vec![];
    let t = Instant::now();
    for _ in 0..n {
        let i = l.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0 as u32;
        out.push(i);
        m.forward(&[i], &mut kv, LogitRows::Last, &mut l).unwrap();
    }
    let d = t.elapsed().as_secs_f64();
    println!("{:?}\ndecode {:.1} tok/s", m.tokenizer().decode(&out), n as f64 / d);
    kv.truncate(0);
    let ids: Vec<u32> = (0..512u32).map(|i| 100 + i * 37 % 40000).collect();
    for _ in 0..2 {
        kv.truncate(0);
        let t = Instant::now();
        for (i, c) in ids.chunks(128).enumerate() {
            m.forward(c, &mut kv, if i == 3 { LogitRows::Last } else { LogitRows::None }, &mut l).unwrap();
        }
        println!("prefill {:.1} tok/s", 512.0 / t.elapsed().as_secs_f64());
    }
}
