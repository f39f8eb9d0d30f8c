// Returns nothing.
exports.handler = async (event) => {
  console.log(event);
};
