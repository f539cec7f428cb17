mod captures;
mod flows;
mod script;
