//! The public items of the crate, one a line, from the JSON that rustdoc writes about it.

use std::collections::BTreeSet;

use serde_json::Value;

/// The crates of the standard library.
const STANDARD: [&str; 3] = ["alloc", "core", "std"];

pub(crate) struct Listing<'a> {
    documentation: &'a Value,
    lines: BTreeSet<String>,
    /// The types and traits of other crates that the items name, by their paths.
    foreign: BTreeSet<Vec<String>>,
}

impl<'a> Listing<'a> {
    /// The list as text. `version_of` knows the versions of other crates: an incompatible one
    /// changes the public API where that names a type of the crate.
    pub(crate) fn of(documentation: &'a Value, version_of: impl Fn(&str) -> String) -> String {
        let (lines, foreign) = (BTreeSet::new(), BTreeSet::new());
        let mut listing = Self { documentation, lines, foreign };
        listing.module("codex_auth_sdk", &documentation["root"]);
        let foreign = listing.foreign.iter().map(|path| {
            format!("foreign {} {}: {}", path[0], version_of(&path[0]), path[1..].join("::"))
        });
        listing.lines.iter().cloned().chain(foreign).map(|line| line + "\n").collect()
    }

    fn item(&self, id: &Value) -> Option<&'a Value> {
        self.documentation["index"].get(id.to_string())
    }

    fn add(&mut self, line: String) {
        self.lines.insert(line);
    }

    fn module(&mut self, path: &str, id: &Value) {
        let Some(module) = self.item(id) else { return };
        for id in list(&module["inner"]["module"]["items"]) {
            let Some(item) = self.item(id) else { continue };
            let reexport = &item["inner"]["use"];
            let Some(source) = reexport["source"].as_str() else {
                self.named(&format!("{path}::{}", text(&item["name"])), item);
                continue;
            };
            let path = format!("{path}::{}", text(&reexport["name"]));
            match self.item(&reexport["id"]) {
                Some(item) => self.named(&path, item),
                None => self.add(format!("{path} = {source}")),
            }
        }
    }

    /// Adds `item` under the `path` at which it is exported.
    fn named(&mut self, path: &str, item: &Value) {
        let is_open = list(&item["attrs"]).iter().any(|attribute| attribute == "non_exhaustive");
        let note = if is_open { "non_exhaustive " } else { "" };
        let Some((kind, inner)) = item["inner"].as_object().and_then(|inner| inner.iter().next())
        else {
            return;
        };
        let generics = self.generics(&inner["generics"]);
        match kind.as_str() {
            "module" => self.module(path, &item["id"]),
            "struct" => {
                self.add(format!("{path}: {note}struct{generics}"));
                let kind = &inner["kind"];
                for field in list(&kind["plain"]["fields"]).iter().chain(list(&kind["tuple"])) {
                    self.member(path, field);
                }
            }
            "enum" => {
                self.add(format!("{path}: {note}enum{generics}"));
                list(&inner["variants"]).iter().for_each(|variant| self.member(path, variant));
            }
            "trait" => {
                let bounds = self.bounds(&inner["bounds"]);
                self.add(format!("{path}: trait{generics}{bounds}"));
                list(&inner["items"]).iter().for_each(|item| self.member(path, item));
            }
            "variant" => {
                let kind = &inner["kind"];
                self.add(format!("{path}: {note}variant"));
                let fields = list(&kind["tuple"]).iter().chain(list(&kind["struct"]["fields"]));
                fields.for_each(|field| self.member(path, field));
            }
            "struct_field" => {
                let of = self.of_type(inner);
                self.add(format!("{path}: {of}"));
            }
            "function" => self.function(path, inner, &generics),
            "type_alias" => {
                let of = self.of_type(&inner["type"]);
                self.add(format!("{path}{generics} = {of}"));
            }
            "constant" | "assoc_const" | "assoc_type" => {
                let of = self.of_type(&inner["type"]);
                self.add(format!("{path}: {kind} {of}"));
            }
            kind => self.add(format!("{path}: {kind}")),
        }
        list(&inner["impls"]).iter().for_each(|id| self.implementation(path, &item["id"], id));
    }

    fn member(&mut self, path: &str, id: &Value) {
        if let Some(item) = self.item(id) {
            self.named(&format!("{path}::{}", text(&item["name"])), item);
        }
    }

    /// Adds what an implementation gives to the item `of` at `path`, or to a type of another crate.
    /// Of those for all types of another trait, only one of a trait of this crate says something
    /// about the item.
    fn implementation(&mut self, path: &str, of: &Value, id: &Value) {
        let Some(item) = self.item(id) else { return };
        let inner = &item["inner"]["impl"];
        let is_blanket = !inner["blanket_impl"].is_null();
        let is_own = |implemented: &Value| implemented["crate_id"] == 0;
        let is_foreign = || !self.item(&inner["trait"]["id"]).is_some_and(is_own);
        if inner["is_synthetic"] == true || is_blanket && is_foreign() {
            return;
        }
        if inner["trait"].is_null() {
            return list(&inner["items"]).iter().for_each(|item| self.member(path, item));
        }
        let implemented = self.path(&inner["trait"]);
        if !is_blanket && inner["for"]["resolved_path"]["id"] != *of {
            let other = self.of_type(&inner["for"]);
            self.add(format!("{path}: {other} is {implemented}"));
        } else if implemented != "StructuralPartialEq" {
            self.add(format!("{path}: {implemented}"));
        }
    }

    fn function(&mut self, path: &str, inner: &Value, generics: &str) {
        let words = ["is_const", "is_async", "is_unsafe"];
        let words = words.into_iter().filter(|word| inner["header"][*word] == true);
        let words: String = words.map(|word| format!("{} ", &word["is_".len()..])).collect();
        // A method of a trait that each implementation must have.
        let required = if inner["has_body"] == false { "required " } else { "" };
        let inputs = list(&inner["sig"]["inputs"]).iter().map(|input| {
            let of = self.of_type(&input[1]);
            if input[0] == "self" { of.replace("Self", "self") } else { of }
        });
        let inputs = inputs.collect::<Vec<_>>().join(", ");
        let output = match &inner["sig"]["output"] {
            Value::Null => String::new(),
            output => format!(" -> {}", self.of_type(output)),
        };
        self.add(format!("{path}: {required}{words}fn{generics}({inputs}){output}"));
    }

    fn generics(&mut self, generics: &Value) -> String {
        let mut all = Vec::new();
        for parameter in list(&generics["params"]) {
            let of_type = &parameter["kind"]["type"];
            // The parameter of an `impl Trait` argument is shown in the place of the argument.
            if of_type["is_synthetic"] != true {
                all.push(format!(
                    "{}{}",
                    text(&parameter["name"]),
                    self.bounds(&of_type["bounds"])
                ));
            }
        }
        for predicate in list(&generics["where_predicates"]) {
            let predicate = &predicate["bound_predicate"];
            let of = self.of_type(&predicate["type"]);
            all.push(format!("{of}{}", self.bounds(&predicate["bounds"])));
        }
        if all.is_empty() { String::new() } else { format!("<{}>", all.join(", ")) }
    }

    /// `: A + B`, or nothing.
    fn bounds(&mut self, bounds: &Value) -> String {
        let all = self.joined(bounds, " + ", Self::bound);
        if all.is_empty() { all } else { format!(": {all}") }
    }

    fn bound(&mut self, bound: &Value) -> String {
        if let Some(captured) = bound["use"].as_array() {
            let captured = captured.iter().map(|name| text(&name["lifetime"]));
            return format!("use<{}>", captured.collect::<Vec<_>>().join(", "));
        }
        match &bound["trait_bound"]["trait"] {
            Value::Null => text(&bound["outlives"]),
            of => self.path(of),
        }
    }

    fn of_type(&mut self, of: &Value) -> String {
        let Some((kind, inner)) = of.as_object().and_then(|of| of.iter().next()) else {
            return "_".to_owned();
        };
        match kind.as_str() {
            "resolved_path" => self.path(inner),
            "generic" | "primitive" => text(inner),
            "tuple" => format!("({})", self.joined(inner, ", ", Self::of_type)),
            "slice" => format!("[{}]", self.of_type(inner)),
            "array" => format!("[{}; {}]", self.of_type(&inner["type"]), text(&inner["len"])),
            "impl_trait" => format!("impl {}", self.joined(inner, " + ", Self::bound)),
            "dyn_trait" => {
                let of = self.joined(&inner["traits"], " + ", |this, of| this.path(&of["trait"]));
                let lifetime = inner["lifetime"].as_str().map(|name| format!(" + {name}"));
                format!("dyn {of}{}", lifetime.unwrap_or_default())
            }
            "borrowed_ref" => {
                let lifetime = inner["lifetime"].as_str().map(|name| format!("{name} "));
                let word = if inner["is_mutable"] == true { "mut " } else { "" };
                let lifetime = lifetime.unwrap_or_default();
                format!("&{lifetime}{word}{}", self.of_type(&inner["type"]))
            }
            "qualified_path" => {
                let own = self.of_type(&inner["self_type"]);
                format!("{own}::{}", text(&inner["name"]))
            }
            kind => panic!("the list knows no {kind}: {inner}"),
        }
    }

    /// The last name of `path` with its arguments. Notes the path if it is of another crate.
    fn path(&mut self, path: &Value) -> String {
        let whole = &self.documentation["paths"][path["id"].to_string()];
        let names: Vec<_> = list(&whole["path"]).iter().map(text).collect();
        let is_foreign = whole["crate_id"].as_u64().is_some_and(|id| id != 0);
        if is_foreign && !STANDARD.contains(&names[0].as_str()) {
            self.foreign.insert(names);
        }
        let shown = text(&path["path"]);
        let name = shown.rsplit("::").next().unwrap_or_default();
        let arguments = &path["args"];
        if let Some(inner) = arguments.get("parenthesized") {
            let inputs = self.joined(&inner["inputs"], ", ", Self::of_type);
            let output = match &inner["output"] {
                Value::Null => String::new(),
                output => format!(" -> {}", self.of_type(output)),
            };
            return format!("{name}({inputs}){output}");
        }
        let inner = &arguments["angle_bracketed"];
        let mut all =
            self.joined(&inner["args"], ", ", |this, argument| {
                match argument["lifetime"].as_str() {
                    Some(lifetime) => lifetime.to_owned(),
                    None => this.of_type(&argument["type"]),
                }
            });
        for constraint in list(&inner["constraints"]) {
            let of = self.of_type(&constraint["binding"]["equality"]["type"]);
            all += &format!("{} = {of}", text(&constraint["name"]));
        }
        if all.is_empty() { name.to_owned() } else { format!("{name}<{all}>") }
    }

    fn joined(
        &mut self,
        values: &Value,
        between: &str,
        mut show: impl FnMut(&mut Self, &Value) -> String,
    ) -> String {
        let shown: Vec<_> = list(values).iter().map(|value| show(self, value)).collect();
        shown.join(between)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
