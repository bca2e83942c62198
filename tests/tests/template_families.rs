//! Templates of the families: real ones with tools and thinking switches against Jinja2
//! (`fixtures/templates/README.md`), and the built-in ones for files without.

mod toy_vocabulary;

use halfbyte::{ChatTemplate, Message, RenderOptions, ThoughtTags};
use halfbyte_tests::fixtures;
use serde::Deserialize;
use serde_json::Value;
use toy_vocabulary::{CONTROL, ToyVocabulary, USER_DEFINED};

#[derive(Deserialize)]
struct Rendering {
    template: String,
    title: String,
    messages: Vec<Message>,
    tools: Option<Value>,
    thinking: Option<bool>,
    add_generation_prompt: bool,
    text: String,
}

fn source(name: &str) -> String {
    std::fs::read_to_string(fixtures::path(&format!("templates/{name}.jinja"))).unwrap()
}

/// A toy vocabulary with the control tokens of ChatML and a template.
fn toy(template: &str) -> ToyVocabulary {
    let mut toy = ToyVocabulary::new();
    let bos = toy.add("<s>", CONTROL);
    let eos = toy.add("</s>", CONTROL);
    toy.add("<|im_start|>", CONTROL);
    toy.add("<|im_end|>", CONTROL);
    toy.add("<think>", USER_DEFINED);
    toy.add("</think>", USER_DEFINED);
    let ids = toy.rest.u32("tokenizer.ggml.bos_token_id", bos).u32("tokenizer.ggml.eos_token_id", eos);
    toy.rest = ids.str("tokenizer.chat_template", template);
    toy
}

fn load(toy: &ToyVocabulary) -> ChatTemplate {
    ChatTemplate::from_gguf(&toy.gguf()).unwrap().unwrap()
}

#[test]
fn real_templates_render_as_jinja2_renders_them() {
    let text = std::fs::read_to_string(fixtures::path("templates/renderings.json")).unwrap();
    let renderings: Vec<Rendering> = serde_json::from_str(&text).unwrap();
    assert!(renderings.len() > 60);
    for rendering in renderings {
        let template = load(&toy(&source(&rendering.template)));
        let options = RenderOptions {
            add_generation_prompt: rendering.add_generation_prompt,
            tools: rendering.tools,
            thinking: rendering.thinking,
        };
        let prompt = template.render(&rendering.messages, &options).unwrap();
        let what = (rendering.template, rendering.title, rendering.thinking);
        assert_eq!(prompt.text(), rendering.text, "{what:?}");
    }
}

#[test]
fn a_template_for_tools_is_used_with_tools() {
    let mut toy = toy("plain");
    toy.rest = toy.rest.str("tokenizer.chat_template.tool_use", "{{ tools[0].function.name }}");
    let template = load(&toy);
    let tools = serde_json::json!([{"type": "function", "function": {"name": "tide"}}]);
    let with_tools = RenderOptions { tools: Some(tools), ..RenderOptions::default() };
    assert_eq!(template.render(&[], &with_tools).unwrap().text(), "tide");
    assert_eq!(template.render(&[], &RenderOptions::default()).unwrap().text(), "plain");
}

#[test]
fn a_template_tells_whether_the_model_thinks_and_can_be_told_to() {
    let think = Some(ThoughtTags { open: "<think>", close: "</think>" });
    let bracketed = Some(ThoughtTags { open: "[THINK]", close: "[/THINK]" });
    for (source, tags, can_switch, takes_reasoning) in [
        (source("qwen3"), think, true, true),
        (source("smollm3"), think, true, false),
        (source("deepseek-r1"), think, false, false),
        ("{{ messages[0].content }}".into(), None, false, false),
        ("{{ messages[0].content }}{{ '[/THINK]' if false }}".into(), bracketed, false, false),
        ("{% if thinking %}Think!{% endif %}".into(), None, true, false),
        ("{% if thinking or enable_thinking %}{% endif %}{{ thinking }}".into(), None, false, false),
        ("{{ raise_exception('no') }}".into(), None, false, false),
    ] {
        let template = load(&toy(&source));
        assert_eq!(template.built_in(), None);
        assert_eq!(template.thought_tags(), tags, "{source}");
        assert_eq!(template.can_switch_thinking(), can_switch, "{source}");
        assert_eq!(template.takes_reasoning_content(), takes_reasoning, "{source}");
    }
}

/// A file without a template whose vocabulary has these control tokens.
fn without_template(model: &'static str, tokens: &[&str]) -> ToyVocabulary {
    let mut toy = ToyVocabulary::new();
    let bos = toy.add("<s>", CONTROL);
    let eos = toy.add("</s>", CONTROL);
    for token in tokens {
        toy.add(token, CONTROL);
    }
    toy.model = model;
    toy.rest = toy.rest.u32("tokenizer.ggml.bos_token_id", bos).u32("tokenizer.ggml.eos_token_id", eos);
    toy
}

/// Expected texts: what Python's Jinja2 makes of the same messages with the models' own templates
/// (Qwen2.5, Llama 3.2 without its date, Gemma 2, Phi 3.5, Mistral Nemo, DeepSeek R1 distilled without
/// its opened thought; the SentencePiece form of Mistral's from its documentation). Gemma's own refuses
/// instructions.
#[test]
fn built_in_templates_write_what_the_models_own_would() {
    const CHATML: &[&str] = &["<|im_start|>", "<|im_end|>"];
    const LLAMA3: &[&str] = &["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];
    let chatml = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n\
                  <|im_start|>assistant\nAhoy.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n\
                  <|im_start|>assistant\n";
    let llama3 = "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>\
                  <|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>\
                  <|start_header_id|>assistant<|end_header_id|>\n\nAhoy.<|eot_id|>\
                  <|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>\
                  <|start_header_id|>assistant<|end_header_id|>\n\n";
    let gemma = "<s><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nAhoy.\
                 <end_of_turn>\n<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n";
    let phi3 = "<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nAhoy.<|end|>\n\
                <|user|>\nWhy?<|end|>\n<|assistant|>\n";
    let mistral = "<s>[INST]Hi[/INST]Ahoy.</s>[INST]Be brief.\n\nWhy?[/INST]";
    let mistral_spm = "<s>[INST] Hi[/INST] Ahoy.</s>[INST] Be brief.\n\nWhy?[/INST]";
    let deepseek =
        "<s>Be brief.<｜User｜>Hi<｜Assistant｜>Ahoy.<｜end▁of▁sentence｜><｜User｜>Why?<｜Assistant｜>";
    for (model, tokens, name, text) in [
        ("gpt2", CHATML, "ChatML", chatml),
        ("gpt2", LLAMA3, "Llama 3", llama3),
        ("gpt2", &[LLAMA3, CHATML].concat(), "ChatML", chatml),
        ("llama", &["<start_of_turn>", "<end_of_turn>"], "Gemma", gemma),
        ("llama", &["<|user|>", "<|assistant|>", "<|end|>", "<|system|>"], "Phi-3", phi3),
        ("gpt2", &["[INST]", "[/INST]"], "Mistral", mistral),
        ("llama", &["[INST]", "[/INST]"], "Mistral (SentencePiece)", mistral_spm),
        ("gpt2", &[LLAMA3, &["<｜User｜>", "<｜Assistant｜>"]].concat(), "DeepSeek", deepseek),
    ] {
        let template = load(&without_template(model, tokens));
        assert_eq!(template.built_in(), Some(name));
        let messages = [
            Message::system("Be brief."),
            Message::user("Hi"),
            Message::assistant("Ahoy."),
            Message::user("Why?"),
        ];
        let prompt = template.render(&messages, &RenderOptions::default()).unwrap();
        assert_eq!(prompt.text(), text, "{name}");
        assert_eq!((template.thought_tags(), template.can_switch_thinking()), (None, false));
        let attack = Message::user(tokens.concat());
        let attacked = template.render(&[attack], &RenderOptions::default()).unwrap();
        assert!(attacked.text().contains(&tokens.concat()), "as text: {name}");
    }
}

#[test]
fn a_built_in_template_is_of_a_thinking_model_if_the_vocabulary_is() {
    let mut toy = without_template("gpt2", &["<|im_start|>", "<|im_end|>"]);
    toy.add("<think>", USER_DEFINED);
    assert_eq!(load(&toy).thought_tags(), None);
    toy.add("</think>", USER_DEFINED);
    assert_eq!(load(&toy).thought_tags().unwrap().open, "<think>");
}

#[test]
fn tokens_that_are_cut_up_tell_no_format() {
    let mut toy = ToyVocabulary::new();
    toy.add("<|im_start|>", 1);
    toy.add("<|im_end|>", 1);
    assert!(ChatTemplate::from_gguf(&toy.gguf()).unwrap().is_none());
}
