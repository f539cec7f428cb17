mod blind;
mod captures;
mod flows;
mod plain;
mod script;
