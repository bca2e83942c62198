//! `halfbyte perplexity`: how well a model predicts a text.

use std::path::PathBuf;

use halfbyte::{KvCache, LogitRows, Model, Token};
use serde_json::json;

use crate::failure::Failure;
use crate::options::{Ids, ModelArgs, count, read_text};
use crate::report;

const EXAMPLES: &str = "\
Examples:
  halfbyte perplexity model.gguf --file novel.txt
  halfbyte perplexity model.gguf --file novel.txt --ctx 256 --json
  halfbyte perplexity model.gguf --ids @ids.txt

The tokens are cut into chunks of --ctx tokens, the last one as long as what is left. In each chunk,
every token after the first is predicted from those before it in the chunk; the first is not scored.
Perplexity is the exponential of the mean negative log-likelihood of all scored tokens.";

/// Measure how well a model predicts a text
///
/// A text is taken as plain: the spelling of a control token in it stays text. The
/// beginning-of-sequence token comes before it, once, where the file says so, never before ids.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("input").required(true).args(["file", "ids"]))]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,

    /// A file with the text; - is standard input
    #[arg(long)]
    file: Option<PathBuf>,

    /// The token ids, such as 1,2,3, or @FILE
    #[arg(long, value_name = "IDS", value_parser = Ids::parse)]
    ids: Option<Ids>,

    /// Tokens of a chunk
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = count)]
    ctx: usize,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn perplexity(args: &Args) -> Result<(), Failure> {
    if args.ctx < 2 {
        return Err(Failure::Usage(
            "--ctx must be at least 2: the first token of a chunk is not scored".into(),
        ));
    }
    let input = Input::read(args)?;
    let model = args.model.open()?;
    let tokens = input.tokens(&model)?;
    if tokens.len() < 2 {
        return Err(Failure::new("nothing can be scored: the text must have at least 2 tokens"));
    }
    let mut kv = model.new_kv_cache(args.ctx)?;
    let bar = report::progress("scoring", tokens.len());
    let mut score = Score::default();
    for (i, chunk) in tokens.chunks(args.ctx).enumerate() {
        kv.truncate(0);
        score.add(&model, &mut kv, chunk)?;
        bar.set(i * args.ctx + chunk.len());
    }
    drop(bar);
    let mean = score.nll / score.n as f64;
    if args.json {
        return report::output_json(&json!({
            "perplexity": mean.exp(),
            "mean_nll": mean,
            "scored_tokens": score.n,
            "tokens": tokens.len(),
            "ctx": args.ctx,
            "device": report::device_json(model.device()),
        }));
    }
    report::line(format_args!(
        "{} of {} tokens scored in chunks of {}, mean negative log-likelihood {mean:.5}, on {}",
        score.n,
        tokens.len(),
        args.ctx,
        report::device(model.device())
    ));
    report::output(&format!("{:.4}\n", mean.exp()))
}

/// What to score, read before the model is loaded.
enum Input {
    Text(String),
    Ids(Vec<Token>),
}

impl Input {
    fn read(args: &Args) -> Result<Input, Failure> {
        match (&args.ids, &args.file) {
            (Some(ids), _) => ids.read().map(Input::Ids),
            (None, Some(file)) => read_text(file).map(Input::Text),
            (None, None) => Ok(Input::Ids(Vec::new())),
        }
    }

    fn tokens(self, model: &Model) -> Result<Vec<Token>, Failure> {
        let text = match self {
            Input::Ids(ids) => return Ok(ids),
            Input::Text(text) => text,
        };
        let tokenizer = model.tokenizer();
        let mut tokens = tokenizer.encode(&text, false)?;
        tokens.splice(0..0, tokenizer.bos().filter(|_| tokenizer.adds_bos()));
        Ok(tokens)
    }
}

/// The negative log-likelihood of the tokens scored so far, in nats, and their number.
#[derive(Default)]
struct Score {
    nll: f64,
    n: usize,
}

impl Score {
    /// Scores every token of a chunk after the first; the cache must be empty.
    fn add(&mut self, model: &Model, kv: &mut KvCache, chunk: &[Token]) -> Result<(), Failure> {
        let mut logits = Vec::new();
        let mut targets = chunk.iter().skip(1);
        for batch in chunk.chunks(Model::BATCH) {
            model.forward(batch, kv, LogitRows::All, &mut logits)?;
            let rows = logits.chunks_exact(model.config().n_vocab);
            for (row, &target) in rows.zip(&mut targets) {
                let logit = row.get(target as usize).copied().unwrap_or(f32::NAN);
                self.nll += log_sum_exp(row) - f64::from(logit);
                self.n += 1;
            }
        }
        Ok(())
    }
}

/// ln Σ exp(x), without overflow.
fn log_sum_exp(row: &[f32]) -> f64 {
    let highest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = row.iter().map(|&x| (f64::from(x) - highest).exp()).sum();
    highest + sum.ln()
}
