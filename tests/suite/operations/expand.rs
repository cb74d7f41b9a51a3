//! Macros of one rule that repeats over entries, expanded as far as the methods they make need it.

/// A macro whose rule is `$( entry )*`.
pub struct Macro<'a> {
    pub name: &'a str,
    entry: &'a str,
    body: &'a str,
}

/// What the variables of one entry stand for: one text, or one for each repetition.
#[derive(Default)]
struct Bound<'a> {
    docs: String,
    one: Vec<(&'a str, String)>,
    many: Vec<(&'a str, Vec<String>)>,
}

impl<'a> Macro<'a> {
    /// Reads the text between the braces of `macro_rules!`.
    pub fn read(name: &'a str, text: &'a str) -> Macro<'a> {
        let (pattern, body) = text.split_once("=>").unwrap_or((text, ""));
        let entry = pattern.find("$(").map_or("", |at| group(&pattern[at + 1..]).0);
        Macro { name, entry, body }
    }

    /// The methods that a call makes.
    pub fn call(&self, entries: &str) -> String {
        let (mut result, mut rest) = (String::new(), entries);
        while !rest.trim().is_empty() {
            let mut bound = Bound::default();
            match matched(self.entry, rest, &mut bound) {
                Some(left) if left.len() < rest.len() => rest = left,
                _ => break,
            }
            result.push_str(&self.expand(&bound));
            result.push('\n');
        }
        result
    }

    fn expand(&self, bound: &Bound) -> String {
        let mut text = self.body.replace("$(#[$doc])*", &bound.docs);
        let repeats = |inner: &str, name: &str| inner.contains(&format!("${name}"));
        while let Some((at, values)) = text.match_indices("$(").find_map(|(at, _)| {
            let inner = group(&text[at + 1..]).0;
            let first = bound.many.iter().find(|(name, _)| repeats(inner, name)).filter(|_| !inner.contains("$("));
            first.map(|(_, values)| (at, values))
        }) {
            let (inner, after) = group(&text[at + 1..]);
            let end = after.find(['*', '?', '+']).expect("a repetition has a sign");
            let all = bound.many.iter().filter(|(name, _)| repeats(inner, name));
            let all: Vec<_> = all.collect();
            let each: Vec<String> = (0..values.len())
                .map(|i| all.iter().fold(inner.to_string(), |text, (name, x)| text.replace(&format!("${name}"), &x[i])))
                .collect();
            let separator = after[..end].replace(',', ", ");
            text = format!("{}{}{}", &text[..at], each.join(&separator), &after[end + 1..]);
        }
        let mut one: Vec<&(&str, String)> = bound.one.iter().collect();
        // The longest names first: `$max` must not be found in `$max_indices`.
        one.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        one.iter().fold(text, |text, (name, value)| text.replace(&format!("${name}"), value))
    }
}

/// The inside of the brackets that a text begins with, and what follows them.
fn group(text: &str) -> (&str, &str) {
    let (mut depth, mut quoted, mut before) = (0, false, ' ');
    for (i, c) in text.char_indices() {
        match c {
            '"' if before != '\\' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return (&text[1..i], &text[i + 1..]);
                }
            }
            _ => {}
        }
        before = c;
    }
    (&text[1..], "")
}

/// What is left of a text after a pattern; `None` if it does not begin so.
fn matched<'a, 't>(pattern: &'a str, text: &'t str, bound: &mut Bound<'a>) -> Option<&'t str> {
    let (mut pattern, mut text) = (pattern.trim_start(), text.trim_start());
    while let Some(first) = pattern.chars().next() {
        if let Some(rest) = pattern.strip_prefix("$(#[$doc:meta])*") {
            while let Some(line) = text.strip_prefix("//") {
                let (line, after) = line.split_once('\n').unwrap_or((line, ""));
                bound.docs.push_str(&format!("//{line}\n"));
                text = after.trim_start();
            }
            pattern = rest.trim_start();
        } else if pattern.starts_with("$(") {
            let (inner, after) = group(&pattern[1..]);
            let end = after.find(['*', '?', '+'])?;
            let mut found: Vec<Bound> = Vec::new();
            let mut repetition = Bound::default();
            while let Some(rest) = matched(inner, text, &mut repetition) {
                found.push(std::mem::take(&mut repetition));
                text = rest.trim_start().strip_prefix(after[..end].trim()).unwrap_or(rest).trim_start();
                if !after[..end].trim().is_empty() && text.len() == rest.trim_start().len() {
                    break;
                }
            }
            for name in inner.split('$').skip(1).filter_map(|part| Some(part.split_once(':')?.0)) {
                let value = |each: &Bound| each.one.iter().find(|(known, _)| *known == name).map(|(_, x)| x.clone());
                bound.many.push((name, found.iter().filter_map(value).collect()));
            }
            pattern = after[end + 1..].trim_start();
        } else if let Some(rest) = pattern.strip_prefix('$') {
            let (name, rest) = rest.split_once(':')?;
            let kind = rest.find(|c: char| !c.is_alphanumeric()).map_or(rest, |end| &rest[..end]);
            pattern = rest[kind.len()..].trim_start();
            let length = match kind {
                "ident" => text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len()),
                "literal" if text.starts_with('"') => text[1..].find('"')? + 2,
                "literal" => text.find(|c: char| !c.is_alphanumeric() && c != '.' && c != '-').unwrap_or(text.len()),
                // Expressions and types go on to what stands next in the pattern, or to the end of a repetition.
                _ => match pattern.chars().next() {
                    Some(next) => length_until(text, next)?,
                    None => length_until(text, ',').into_iter().chain(length_until(text, ')')).min()?,
                },
            };
            if length == 0 {
                return None;
            }
            bound.one.push((name, text[..length].trim().to_string()));
            text = text[length..].trim_start();
        } else {
            text = text.strip_prefix(first)?.trim_start();
            pattern = pattern[first.len_utf8()..].trim_start();
        }
    }
    Some(text)
}

/// How far it is to a character that stands in no brackets and no quotes.
fn length_until(text: &str, wanted: char) -> Option<usize> {
    let (mut depth, mut quoted) = (0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if c == wanted && depth == 0 && !quoted => return Some(i),
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    None
}
