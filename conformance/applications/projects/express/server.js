// An Express server as Express's own guide writes it: JSON bodies, compression, a static file, an error handler.
const compression = require('compression');
const express = require('express');

const app = express();
app.set('trust proxy', true);
app.use(compression());
app.use(express.json({ limit: '1mb' }));
app.use('/static', express.static(`${__dirname}/static`, { maxAge: '1h' }));

app.get('/items/:id', (request, response) => {
  response.json({ id: request.params.id, page: request.query.page, from: request.ip, pid: process.pid });
});
app.post('/items', (request, response) => {
  response.status(201).location(`/items/${request.body.name}`).json({ made: request.body });
});
app.get('/long', (request, response) => response.type('text').send('line\n'.repeat(20000)));
app.get('/throw', () => {
  throw new Error('a handler that throws');
});
app.use((error, request, response, next) => {
  console.error(error.message);
  response.status(error.status || 500).json({ error: error.message });
});
app.listen(process.env.PORT);
