// Writes its event as JSON and returns it.
exports.handler = async (event) => {
  console.log(JSON.stringify(event));
  return event;
};
