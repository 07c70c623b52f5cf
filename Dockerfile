# One image for every process of Custody: the command and the mounted configuration say which one it is.
FROM node:20.20.2-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:20.20.2-bookworm-slim
# The sandbox in which training runs and candidates are tried out, and what training code is fetched with.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends bubblewrap ca-certificates git openssh-client \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/examples ./examples
COPY --from=build /app/suites ./suites
COPY --from=build /app/deploy ./deploy

# A named volume takes over the owner of the folder it is first mounted on. The ids are those of client/stack/users.ts: one
# user per process, and one group per socket, whose members may knock.
RUN set -eu; \
  uid=61200; \
  for name in control intake signing serving training watch vault gateway api; do \
    install -d -o "$uid" -g "$uid" -m 0700 "/var/lib/custody/$name"; \
    uid=$((uid + 1)); \
  done; \
  install -d -o 61204 -g 61204 -m 0755 /var/lib/custody/outputs; \
  install -d -o 61206 -g 61300 -m 2750 /run/custody/vault-create; \
  install -d -o 61206 -g 61301 -m 2750 /run/custody/vault-open; \
  install -d -o 61206 -g 61302 -m 2750 /run/custody/vault-destroy; \
  install -d -o 61207 -g 61303 -m 2750 /run/custody/gateway-admin; \
  install -d -o 61208 -g 61304 -m 2750 /run/custody/api-admin; \
  install -d -o 61206 -g 61305 -m 2750 /run/custody/vault-recover

ENV NODE_ENV=production
USER 61200:61200
CMD ["node", "dist/bundled/programs/custody.js", "--help"]
