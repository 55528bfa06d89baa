//! Just enough XML for the two dialects at hand: D-Bus introspection and D-Bus policies, both machine-checked by
//! their own readers. Elements with attributes, in order; text and nesting beyond open and close do not matter here.

/// One tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Element name.
    pub name: String,
    /// Attributes in order.
    pub attributes: Vec<(String, String)>,
    /// What kind of tag it is.
    pub kind: Kind,
}

/// Kind of a [`Tag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `<a>`
    Open,
    /// `</a>`
    Close,
    /// `<a/>`
    Empty,
}

impl Tag {
    /// Value of an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// All tags of a document in order; comments, the prologue and text are left out.
///
/// # Panics
/// When the text is no XML of this simple kind.
pub fn tags(text: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let (end, skip) = if rest.starts_with("<!--") {
            (rest.find("-->").map(|e| e + 3), true)
        } else {
            (rest.find('>').map(|e| e + 1), rest.starts_with("<!") || rest.starts_with("<?"))
        };
        let end = end.unwrap_or_else(|| panic!("unfinished tag: {}", &rest[..rest.len().min(60)]));
        if !skip {
            tags.push(tag(&rest[1..end - 1]));
        }
        rest = &rest[end..];
    }
    tags
}

fn tag(body: &str) -> Tag {
    let (body, kind) = match (body.strip_prefix('/'), body.strip_suffix('/')) {
        (Some(name), _) => (name, Kind::Close),
        (_, Some(inner)) => (inner, Kind::Empty),
        _ => (body, Kind::Open),
    };
    let (name, mut rest) = body.trim().split_once(char::is_whitespace).unwrap_or((body.trim(), ""));
    let mut attributes = Vec::new();
    while let Some((key, value)) = rest.split_once('=') {
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\'')).expect("a quoted attribute");
        let (value, after) = value[1..].split_once(quote).expect("a closed attribute");
        attributes.push((key.trim().to_owned(), value.to_owned()));
        rest = after;
    }
    Tag { name: name.to_owned(), attributes, kind }
}

/// One method of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Interface name.
    pub interface: String,
    /// Member name.
    pub name: String,
    /// Names of the arguments that go in.
    pub inputs: Vec<String>,
}

/// All methods of an introspection document.
pub fn methods(text: &str) -> Vec<Method> {
    let mut found: Vec<Method> = Vec::new();
    let mut interface = String::new();
    let mut in_method = false;
    for tag in tags(text) {
        let name = || tag.get("name").unwrap_or_default().to_owned();
        match (tag.name.as_str(), tag.kind) {
            ("interface", Kind::Open | Kind::Empty) => interface = name(),
            ("method", Kind::Open | Kind::Empty) => {
                found.push(Method { interface: interface.clone(), name: name(), inputs: Vec::new() });
                in_method = tag.kind == Kind::Open;
            }
            ("method", Kind::Close) => in_method = false,
            ("arg", Kind::Open | Kind::Empty) if in_method && tag.get("direction") != Some("out") => {
                if let Some(method) = found.last_mut() {
                    method.inputs.push(name());
                }
            }
            _ => {}
        }
    }
    found
}

/// The interfaces of an introspection document whose name begins with `prefix`: name and text, each line less
/// indented by the interface's own indent.
pub fn interfaces(text: &str, prefix: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    for line in text.lines() {
        let trimmed = line.trim_start();
        if open.is_none() && trimmed.starts_with("<interface ") {
            let name = tags(trimmed).first().and_then(|t| t.get("name")).unwrap_or_default().to_owned();
            open = Some((name, line.len() - trimmed.len(), String::new()));
        }
        if let Some((name, indent, body)) = &mut open {
            body.push_str(line.get(*indent..).unwrap_or(trimmed).trim_end());
            body.push('\n');
            if trimmed.starts_with("</interface>") {
                found.push((std::mem::take(name), std::mem::take(body)));
                open = None;
            }
        }
    }
    found.retain(|(name, _)| name.starts_with(prefix));
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"<!DOCTYPE node PUBLIC "x" "y">
<node>
  <!-- <interface name="not.this"> -->
  <interface name="org.a.One">
    <method name="Set">
      <arg name="value" type="s" direction="in"/>
      <arg name="origin" type="s"/>
      <arg type="b" direction="out"/>
    </method>
    <method name="Ping"/>
    <signal name="S"><arg name="x" type="u"/></signal>
  </interface>
</node>"#;

    #[test]
    fn methods_have_their_inputs() {
        let one = |name: &str, inputs: &[&str]| Method {
            interface: "org.a.One".into(),
            name: name.into(),
            inputs: inputs.iter().map(|s| (*s).to_owned()).collect(),
        };
        assert_eq!(methods(SAMPLE), [one("Set", &["value", "origin"]), one("Ping", &[])]);
    }

    #[test]
    fn interfaces_come_out_whole_and_flush_left() {
        let found = interfaces(SAMPLE, "org.a.");
        assert_eq!(found.len(), 1);
        assert!(found[0].1.starts_with("<interface name=\"org.a.One\">\n  <method name=\"Set\">\n"));
        assert!(found[0].1.ends_with("</interface>\n"));
        assert!(interfaces(SAMPLE, "org.b").is_empty());
    }
}
