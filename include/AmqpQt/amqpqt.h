// SPDX-License-Identifier: MIT
#pragma once
#include <AmqpQt/channel.h>
#include <AmqpQt/connection.h>
#include <AmqpQt/connectionhistorymodel.h>
#include <AmqpQt/consumer.h>
#include <AmqpQt/latestvaluemodel.h>
#include <AmqpQt/messagemodel.h>
#include <AmqpQt/publisher.h>
#include <AmqpQt/ratehistory.h>
#include <AmqpQt/recovery.h>
#include <AmqpQt/saslmechanism.h>
#include <AmqpQt/topology.h>
#include <AmqpQt/version.h>
