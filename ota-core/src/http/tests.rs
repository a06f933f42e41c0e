mod answers;
mod hostile;
mod script;
mod url;
