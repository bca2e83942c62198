//! Real templates with tools and thinking switches, against Jinja2; see `fixtures/templates/README.md`.

mod toy_vocabulary;

use halfbyte::{ChatTemplate, Message, RenderOptions};
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
