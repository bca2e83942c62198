//! `halfbyte bench`: how fast a model runs, how much memory it takes, and how near it comes to what
//! the memory of the device can give.

use std::time::Instant;

use halfbyte::backend::gpu::Gpu;
use halfbyte::{Device, Gguf, KvCache, LogitRows, Model, Plan, Sampler, SamplerConfig, Token};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::options::{ModelArgs, count};
use crate::report;

/// What a model may take beyond its file and its key and value cache.
const ALLOWANCE: u64 = 150_000_000;

const EXAMPLES: &str = "\
Examples:
  halfbyte bench model.gguf
  halfbyte bench model.gguf --backend cpu --prompt-tokens 128 --gen-tokens 32
  halfbyte bench model.gguf --json > bench.json

A warm-up with the whole prompt comes first. Then prefill and decode are timed once, decode at the
context that the prompt leaves. Bandwidth is what a kernel that only reads gets from the same GPU.";

/// Measure speed and memory
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,

    /// Tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = count)]
    prompt_tokens: usize,

    /// Tokens to generate after it
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = count)]
    gen_tokens: usize,

    /// Tokens that the key and value cache has room for [default: prompt and generated tokens]
    #[arg(long, value_name = "N", value_parser = count)]
    ctx: Option<usize>,

    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn bench(args: &Args) -> Result<(), Failure> {
    let n_ctx = args.n_ctx()?;
    let clock = Instant::now();
    let model = args.model.open()?;
    let load_seconds = clock.elapsed().as_secs_f64();
    let device = model.device().clone();
    report::line(format_args!("running on {}", report::device(&device)));
    let times = Times::measure(&model, args, n_ctx)?;
    drop(model);
    // The measurement of bandwidth takes memory of its own.
    let peak_memory = peak_memory();
    let gguf = Gguf::open(&args.model.path)?;
    let report = Report {
        load_seconds,
        times,
        peak_memory,
        file: gguf.file_len(),
        plan: Plan::new(&gguf, device.backend == "gpu", n_ctx)?,
        bandwidth: bandwidth(&device)?,
        device,
    };
    match args.json {
        true => report::output_json(&report.json(args)),
        false => report::output(&report.text(args)),
    }
}

impl Args {
    fn n_ctx(&self) -> Result<usize, Failure> {
        let needed = self.prompt_tokens.saturating_add(self.gen_tokens);
        match self.ctx {
            Some(n_ctx) if n_ctx < needed => Err(Failure::Usage(format!(
                "prompt and generated tokens are {needed} and --ctx has room for {n_ctx}"
            ))),
            n_ctx => Ok(n_ctx.unwrap_or(needed)),
        }
    }
}

/// What was timed, in seconds.
struct Times {
    prefill: f64,
    first_token: f64,
    decode: f64,
}

impl Times {
    fn measure(model: &Model, args: &Args, n_ctx: usize) -> Result<Times, Failure> {
        let _waiting = report::waiting("measuring");
        let mut run = Run {
            model,
            kv: model.new_kv_cache(n_ctx)?,
            logits: Vec::new(),
            sampler: Sampler::new(SamplerConfig::greedy())?,
        };
        // Any tokens do; these visit the embedding here and there.
        let n_vocab = model.tokenizer().vocab_size().max(1);
        let prompt: Vec<Token> = (0..args.prompt_tokens).map(|i| (i * 7919 % n_vocab) as Token).collect();
        run.prefill(&prompt)?;
        let first = run.sample()?;
        run.decode(first)?;

        run.kv.truncate(0);
        let clock = Instant::now();
        run.prefill(&prompt)?;
        let prefill = clock.elapsed().as_secs_f64();
        let mut token = run.sample()?;
        let first_token = clock.elapsed().as_secs_f64();
        let clock = Instant::now();
        for _ in 0..args.gen_tokens {
            token = run.decode(token)?;
        }
        Ok(Times { prefill, first_token, decode: clock.elapsed().as_secs_f64() })
    }
}

/// A model at work; no token ends it.
struct Run<'a> {
    model: &'a Model,
    kv: KvCache,
    logits: Vec<f32>,
    sampler: Sampler,
}

impl Run<'_> {
    fn prefill(&mut self, prompt: &[Token]) -> Result<(), Failure> {
        let mut batches = prompt.chunks(Model::BATCH).peekable();
        while let Some(batch) = batches.next() {
            let rows = match batches.peek() {
                Some(_) => LogitRows::None,
                None => LogitRows::Last,
            };
            self.model.forward(batch, &mut self.kv, rows, &mut self.logits)?;
        }
        Ok(())
    }

    fn decode(&mut self, token: Token) -> Result<Token, Failure> {
        self.model.forward(&[token], &mut self.kv, LogitRows::Last, &mut self.logits)?;
        self.sample()
    }

    fn sample(&mut self) -> Result<Token, Failure> {
        Ok(self.sampler.sample(&mut self.logits, &[])?)
    }
}

/// Everything that the command found out.
struct Report {
    device: Device,
    load_seconds: f64,
    times: Times,
    /// Bytes, where the system tells.
    peak_memory: Option<u64>,
    file: u64,
    plan: Plan,
    /// Bytes per second that a kernel which only reads gets; none on the CPU.
    bandwidth: Option<f64>,
}

impl Report {
    fn prefill_rate(&self, args: &Args) -> f64 {
        args.prompt_tokens as f64 / self.times.prefill
    }

    fn decode_rate(&self, args: &Args) -> f64 {
        args.gen_tokens as f64 / self.times.decode
    }

    /// Bytes of weights that decoding reads per second.
    fn read_rate(&self, args: &Args) -> f64 {
        self.plan.read_per_token as f64 * self.decode_rate(args)
    }

    fn budget(&self) -> u64 {
        self.file + self.plan.kv_cache + ALLOWANCE
    }

    fn text(&self, args: &Args) -> String {
        let (peak, verdict) = match self.peak_memory {
            Some(peak) if peak <= self.budget() => (report::megabytes(peak), "yes"),
            Some(peak) => (report::megabytes(peak), "no"),
            None => ("unknown".into(), "this system does not tell"),
        };
        let share = match self.bandwidth {
            Some(bandwidth) => format!(
                ", {:.0} % of the {:.2} GB/s that a reading kernel gets",
                100.0 * self.read_rate(args) / bandwidth,
                bandwidth / 1e9
            ),
            None => String::new(),
        };
        format!(
            "load                 {:.2} s\n\
             prefill              {:.1} tokens/s ({} tokens)\n\
             time to first token  {:.3} s\n\
             decode               {:.1} tokens/s ({} tokens after the prompt)\n\
             read per token       {}\n\
             read rate            {:.2} GB/s{share}\n\
             peak memory          {peak}\n\
             memory budget        {} = {} file + {} KV cache + {}; kept: {verdict}\n",
            self.load_seconds,
            self.prefill_rate(args),
            args.prompt_tokens,
            self.times.first_token,
            self.decode_rate(args),
            args.gen_tokens,
            report::megabytes(self.plan.read_per_token),
            self.read_rate(args) / 1e9,
            report::megabytes(self.budget()),
            report::megabytes(self.file),
            report::megabytes(self.plan.kv_cache),
            report::megabytes(ALLOWANCE),
        )
    }

    fn json(&self, args: &Args) -> Value {
        json!({
            "device": report::device_json(&self.device),
            "prompt_tokens": args.prompt_tokens,
            "gen_tokens": args.gen_tokens,
            "ctx": self.plan.n_ctx,
            "load_seconds": self.load_seconds,
            "prefill_tokens_per_second": self.prefill_rate(args),
            "time_to_first_token_seconds": self.times.first_token,
            "decode_tokens_per_second": self.decode_rate(args),
            "bytes_read_per_token": self.plan.read_per_token,
            "bytes_read_per_second": self.read_rate(args),
            "read_bandwidth_bytes_per_second": self.bandwidth,
            "share_of_read_bandwidth": self.bandwidth.map(|b| self.read_rate(args) / b),
            "peak_memory_bytes": self.peak_memory,
            "file_bytes": self.file,
            "kv_cache_bytes": self.plan.kv_cache,
            "memory_budget_bytes": self.budget(),
            "is_within_memory_budget": self.peak_memory.map(|peak| peak <= self.budget()),
        })
    }
}

fn bandwidth(device: &Device) -> Result<Option<f64>, Failure> {
    if device.backend != "gpu" {
        return Ok(None);
    }
    let _waiting = report::waiting("measuring the memory of the GPU");
    Ok(Some(Gpu::open()?.read_bandwidth()?))
}

/// The most memory that this process had at once, in bytes. Linux tells; see proc_pid_status(5).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
