// Returns its environment.
exports.handler = async () => ({ ...process.env });
