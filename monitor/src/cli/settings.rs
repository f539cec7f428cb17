//! The flags of the settings, made from their table.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser as _, ValueHint};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, value_parser};

use crate::config::{FILE_VARIABLE, Group, Kind, OnReload, SETTINGS, Setting, Sources};

/// Flags of the settings; with those of the summary if `SUMMARY`.
#[derive(Clone, Debug, Default)]
pub(super) struct SettingArgs<const SUMMARY: bool> {
    /// Those that were given, by the place of their setting in the table.
    flags: Vec<(usize, Vec<OsString>)>,
    file: Option<PathBuf>,
}

impl<const SUMMARY: bool> SettingArgs<SUMMARY> {
    /// These flags, the environment, and the file that they name.
    pub(super) fn sources(self) -> Sources {
        Sources { flags: self.flags, file: self.file, environment: std::env::vars_os().collect(), ..Sources::default() }
    }

    fn settings() -> impl Iterator<Item = (usize, &'static Setting)> {
        SETTINGS.iter().enumerate().filter(|(_, setting)| SUMMARY || setting.group != Group::Summary)
    }
}

impl<const SUMMARY: bool> Args for SettingArgs<SUMMARY> {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .short('c')
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .value_hint(ValueHint::FilePath)
            .help("Configuration file (TOML); a flag goes before the environment, that before the file")
            .long_help(format!(
                "Configuration file: TOML, one key a setting, named as the flag without its dashes.\n\nA flag goes before the \
                 environment, that before the file, that before the default. /dev/null stands for no file.\n\n\
                 [default: {}, if it is there] [env: {FILE_VARIABLE}]",
                crate::config::DEFAULT_FILE
            ));
        command.arg(file).args(Self::settings().map(|(_, setting)| argument(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const SUMMARY: bool> FromArgMatches for SettingArgs<SUMMARY> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let values = |name: &str| matches.get_many::<OsString>(name).map(|values| values.cloned().collect());
        Ok(Self {
            flags: Self::settings().filter_map(|(place, setting)| Some((place, values(setting.name)?))).collect(),
            file: matches.get_one::<PathBuf>("config").cloned(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn argument(setting: &'static Setting) -> Arg {
    let more = if setting.more.is_empty() { String::new() } else { format!("\n\n{}", setting.more) };
    let repeat = if setting.list { " May be given more than once." } else { "" };
    let default = match (setting.default(), setting.unset) {
        (Some(value), _) if value == "[]" => String::new(),
        (Some(value), _) => format!("[default: {}] ", value.replace('"', "")),
        (None, unset) => format!("[default: {unset}] "),
    };
    let reload = if setting.on_reload == OnReload::Applied { " [applied by SIGHUP]" } else { "" };
    let variable = setting.variable();
    let arg = Arg::new(setting.name)
        .long(setting.name)
        .short(setting.short)
        .value_name(setting.placeholder)
        .value_parser(OsStringValueParser::new())
        .help(setting.help)
        .long_help(format!("{}.{repeat}{more}\n\n{default}[env: {variable}]{reload}", setting.help))
        .help_heading(setting.group.title())
        .value_hint(match setting.kind {
            Kind::Path => ValueHint::AnyPath,
            _ if setting.name == "user" => ValueHint::Username,
            _ => ValueHint::Other,
        });
    let arg = match setting.kind {
        Kind::Word(words) => {
            let arg = arg.value_parser(PossibleValuesParser::new(words).map(OsString::from));
            if setting.list { arg.value_delimiter(',') } else { arg }
        }
        // `--promiscuous` is `--promiscuous=true`; the other value undoes what a file says.
        Kind::Bool => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => arg,
    };
    arg.action(if setting.list { ArgAction::Append } else { ArgAction::Set })
}
