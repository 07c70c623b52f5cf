export { lifecycle } from './lifecycle.js';
export { endpoint } from './endpoint.js';
export { training } from './training.js';
export { resign } from './resign.js';
export { policy } from './policy.js';
export { consumer } from './consumer.js';
