-- Reserves, settles, seeds and peeks at the limits of one tenant: atomic, and on this server's clock.
--
-- policies/quota.py says what is to be computed. This is the same arithmetic in the same order, so that both agree to
-- the last bit; tests hold them against each other.
--
-- KEYS   the tenant's leases, a sorted set by the second at which they end; this lease, if any; each charge's state.
-- ARGV   the operation; now in Unix seconds, empty for TIME (only tests say another); the seconds that a lease lives
--        (reserve) or the month that was looked up (seed); then of each charge: kind, amount, period, cost, used.
-- Reply  the verdict (1 done; 0 denied, or no such lease to settle; -1 a month must be seeded first), now, the month,
--        the state of each charge.
--
-- A state is "spent at", or missing. A lease is what it reserved, or empty once it is settled. All of it expires.

local OPERATION, NOW, LEASE_SECONDS, LOOKED_UP = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[3])
local LEASES, LEASE = KEYS[1], KEYS[2]
local HEAD_KEYS, HEAD_WORDS, CHARGE_WORDS = 2, 3, 5
local ROUNDING = 1e-3
local DAY = 86400
local LEASE_KEPT = DAY -- for whoever comes next to reap it; the count of leases out must outlive all of them
local COUNT_KEPT = 2 * DAY
local MONTH_KEPT = 40 * DAY
local RATE_KEPT = 3600 -- beyond its draining, so that a limit which is lowered keeps what was spent
local SETTLED_KEPT = 10 -- so that a reservation or settlement which comes again, or late, changes nothing
local REAPED_AT_ONCE = 100

local function clock()
  if NOW ~= '' then
    return tonumber(NOW)
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

-- year * 12 + month - 1: https://howardhinnant.github.io/date_algorithms.html#civil_from_days
local function month_of(seconds)
  local floor = math.floor
  local day = floor(seconds / DAY) + 719468
  local era = floor(day / 146097)
  local of_era = day - era * 146097
  local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + floor(year / 4) - floor(year / 100))
  return (era * 400 + year) * 12 + floor((5 * of_year + 2) / 153) + 2
end

local now = clock()
local month = month_of(now)

local function parsed(text)
  if not text then
    return nil
  end
  local blank = string.find(text, ' ', 1, true)
  return { spent = tonumber(string.sub(text, 1, blank - 1)), at = tonumber(string.sub(text, blank + 1)) }
end

local function exact(number)
  return string.format('%.17g', number)
end

local function written(state)
  return exact(state.spent) .. ' ' .. exact(state.at)
end

local function keep(key, text, seconds)
  redis.call('SET', key, text, 'PX', string.format('%.0f', math.ceil(seconds * 1000)))
end

-- Whoever reserved it is gone: its place gets free and its month is refunded; rates drain by themselves.
local function reap(lease)
  local text = redis.call('GET', lease)
  if text and text ~= '' then
    local record = cmsgpack.unpack(text)
    for _, reserved in ipairs(record.charges) do
      local key, kind, cost = unpack(reserved)
      local state = parsed(redis.call('GET', key))
      if state and (kind == 'concurrency' or state.at == record.month) then
        state.spent = math.max(state.spent - cost, 0)
        redis.call('SET', key, written(state), 'KEEPTTL')
      end
    end
    keep(lease, '', SETTLED_KEPT)
  end
  redis.call('ZREM', LEASES, lease)
end

local function reap_all()
  local ended = redis.call('ZRANGEBYSCORE', LEASES, '-inf', '(' .. exact(now), 'LIMIT', 0, REAPED_AT_ONCE)
  for _, lease in ipairs(ended) do
    reap(lease)
  end
  -- where the clock jumped back, their time begins again
  local latest = exact(now + LEASE_SECONDS)
  for _, lease in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '(' .. latest, '+inf')) do
    redis.call('ZADD', LEASES, latest, lease)
  end
end

local charges, states, changed = {}, {}, {}
for index = 1, (#ARGV - HEAD_WORDS) / CHARGE_WORDS do
  local word = HEAD_WORDS + (index - 1) * CHARGE_WORDS
  local kind, amount, period = ARGV[word + 1], tonumber(ARGV[word + 2]), tonumber(ARGV[word + 3])
  charges[index] = {
    key = KEYS[HEAD_KEYS + index],
    kind = kind,
    amount = amount,
    rate = (kind == 'requests' or kind == 'tokens') and amount / period or 0,
    cost = tonumber(ARGV[word + 4]),
    used = tonumber(ARGV[word + 5]),
  }
end

local function read_states()
  for _, charge in ipairs(charges) do
    states[charge.key] = parsed(redis.call('GET', charge.key))
  end
end

local function change(charge, spent, at)
  states[charge.key] = { spent = spent, at = at }
  changed[charge.key] = charge
end

-- nil: a month that the ledger must be asked about
local function spent_of(charge)
  local state = states[charge.key]
  if charge.kind == 'tokens_per_month' then
    if not state or state.at > month then
      return nil
    end
    return state.at == month and state.spent or 0
  end
  if not state then
    return 0
  end
  local elapsed = now - state.at
  if elapsed <= 0 or charge.kind == 'concurrency' then
    return state.spent
  end
  return math.max(state.spent - elapsed * charge.rate, 0)
end

local function anchor_of(charge)
  if charge.kind == 'tokens_per_month' then
    return month
  end
  return charge.kind == 'concurrency' and 0 or now
end

local function write_changes()
  for key, charge in pairs(changed) do
    local state = states[key]
    if charge.kind == 'tokens_per_month' then
      keep(key, written(state), MONTH_KEPT)
    elseif charge.kind ~= 'concurrency' then
      keep(key, written(state), RATE_KEPT + (charge.rate > 0 and state.spent / charge.rate or 0))
    elseif state.spent > 0 then
      keep(key, written(state), COUNT_KEPT)
    else
      redis.call('DEL', key)
    end
  end
end

local function reply(verdict)
  local answer = { verdict, exact(now), month }
  for _, charge in ipairs(charges) do
    local state = states[charge.key]
    answer[#answer + 1] = state and written(state) or false
  end
  return answer
end

local operations = {}

function operations.peek()
  read_states()
  return 1
end

function operations.seed()
  if LOOKED_UP ~= month then
    return 1
  end
  read_states()
  for _, charge in ipairs(charges) do
    local state = states[charge.key]
    if not state or state.at ~= month or state.spent < charge.used then
      change(charge, charge.used, month)
    end
  end
  write_changes()
  return 1
end

function operations.reserve()
  if redis.call('EXISTS', LEASE) == 1 then
    read_states()
    return 1
  end
  reap_all()
  read_states()
  local before, denied, unseeded = {}, false, false
  for key, state in pairs(states) do
    before[key] = state
  end
  for _, charge in ipairs(charges) do
    local spent = spent_of(charge)
    if not spent then
      unseeded = true
    elseif charge.cost > 0 then
      denied = denied or spent + charge.cost > charge.amount + ROUNDING
      change(charge, spent + charge.cost, anchor_of(charge))
    end
  end
  if unseeded or denied then
    states, changed = before, {}
    for _, charge in ipairs(charges) do
      local state = states[charge.key]
      if denied and not unseeded and state and charge.rate > 0 and state.at > now then
        change(charge, state.spent, now)
      end
    end
    write_changes()
    return unseeded and -1 or 0
  end
  write_changes()
  local record = { month = month, charges = {} }
  for _, charge in ipairs(charges) do
    if charge.cost > 0 and (charge.kind == 'concurrency' or charge.kind == 'tokens_per_month') then
      table.insert(record.charges, { charge.key, charge.kind, charge.cost })
    end
  end
  keep(LEASE, cmsgpack.pack(record), LEASE_SECONDS + LEASE_KEPT)
  redis.call('ZADD', LEASES, exact(now + LEASE_SECONDS), LEASE)
  redis.call('EXPIRE', LEASES, math.ceil(LEASE_SECONDS + LEASE_KEPT))
  return 1
end

function operations.settle()
  local text = redis.call('GET', LEASE)
  keep(LEASE, '', SETTLED_KEPT)
  read_states()
  if not text or text == '' then
    return 0
  end
  redis.call('ZREM', LEASES, LEASE)
  local reserved_in = cmsgpack.unpack(text).month
  for _, charge in ipairs(charges) do
    local state = states[charge.key]
    if charge.kind ~= 'tokens_per_month' then
      local spent = spent_of(charge) - charge.cost + charge.used
      change(charge, math.max(spent, 0), anchor_of(charge))
    elseif state and state.at == reserved_in then
      change(charge, math.max(state.spent - charge.cost + charge.used, 0), reserved_in)
    end
  end
  write_changes()
  return 1
end

return reply(operations[OPERATION]())
