//! The part of a request's target behind the question mark.

/// Parameters by name; a parameter that is given twice counts once, as it was given first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Query<'q>(&'q str);

impl<'q> Query<'q> {
    pub(super) const fn new(query: &'q str) -> Self {
        Self(query)
    }

    fn pairs(self) -> impl Iterator<Item = (&'q str, &'q str)> {
        self.0.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// Fails for a parameter that is not one of these.
    pub(super) fn only(self, names: &[&str]) -> Result<(), String> {
        match self.pairs().find(|(name, _)| !names.contains(name)) {
            None => Ok(()),
            Some(_) if names.is_empty() => Err("no parameters are known here".to_owned()),
            Some(_) => Err(format!("unknown parameter: known are {}", names.join(", "))),
        }
    }

    pub(super) fn get(self, name: &str) -> Option<&'q str> {
        self.pairs().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// A number, where it is given.
    pub(super) fn number(self, name: &str) -> Result<Option<u64>, String> {
        let number = |value: &str| value.parse().map_err(|_| format!("{name} is not a whole number"));
        self.get(name).map(number).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn parameters_are_found_by_name() {
        let query = Query::new("limit=5&&kind=case,reset&since");
        assert_eq!(query.number("limit"), Ok(Some(5)));
        assert_eq!(query.get("kind"), Some("case,reset"));
        assert_eq!(query.number("none"), Ok(None));
        assert!(query.number("since").is_err());
        assert!(query.only(&["limit", "kind", "since"]).is_ok());
        assert!(query.only(&["limit"]).is_err() && query.only(&[]).is_err());
        assert!(Query::new("").only(&[]).is_ok());
    }
}
